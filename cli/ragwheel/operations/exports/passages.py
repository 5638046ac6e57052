"""JSON lines of {query, relevant_passages, hard_negatives}, one per example: {train,dev}.jsonl.

Grades of positives, weights and beliefs have no place in it: they are in `pairs.parquet`.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from ragwheel.operations.exports.columns import SnapshotTables, negatives, positives


def write(tables: SnapshotTables, to: Path) -> None:
    """Write all files."""
    texts = tables["texts"].column("text")
    for part in ("train", "dev"):
        queries = tables[part].column("query").to_pylist()
        named = (positives(tables, part), negatives(tables, part))
        starts = [each.starts(len(queries)) for each in named]
        with (to / f"{part}.jsonl").open("wb") as file:
            for row, query in enumerate(queries):
                good, bad = (
                    texts.take(each.text[start[row] : start[row + 1]]).to_pylist()
                    for each, start in zip(named, starts, strict=True)
                )
                line = {"query": query, "relevant_passages": good, "hard_negatives": bad}
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
