"""Test collections: BEIR (Thakur et al., NeurIPS 2021) and TREC, with the gate as `test`.

    BEIR   corpus.jsonl, queries.jsonl, qrels/{train,dev,test}.tsv
    TREC   qrels.{train,dev,test}.txt (query 0 chunk grade), topics.{train,dev,test}.tsv

Ids are the hashes of queries and chunks. A pair without a grade is in no file. In a topic, white
space is one blank: the format has a line per query. Beliefs, weights and who graded have no place:
they are in `pairs.parquet`.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ragwheel.operations.exports.columns import SPLITS, SnapshotTables, graded, text_table

_ROWS_AT_ONCE = 10_000


def write_beir(tables: SnapshotTables, to: Path) -> None:
    """Write a folder that BEIR's loaders read."""
    with (to / "corpus.jsonl").open("wb") as file:
        for batch in text_table(tables).to_batches(_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                line = {"_id": row["chunk_hash"], "title": "", "text": row["text"]}
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    with (to / "queries.jsonl").open("wb") as file:
        for row in tables["queries"].select(["query_hash", "query"]).to_pylist():
            line = {"_id": row["query_hash"], "text": row["query"]}
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    (to / "qrels").mkdir()
    pairs = graded(tables)
    for part, name in SPLITS.items():
        rows = pairs.filter(pc.equal(pairs.column("part"), part))
        rows = rows.select(["query_hash", "chunk_hash", "grade"])
        rows = rows.rename_columns(["query-id", "corpus-id", "score"])
        _write_lines(rows, to / "qrels" / f"{name}.tsv", "\t", header=True)


def write_trec(tables: SnapshotTables, to: Path) -> None:
    """Write qrels and topics as trec_eval and its kin read them."""
    pairs = graded(tables)
    for part, name in SPLITS.items():
        rows = pairs.filter(pc.equal(pairs.column("part"), part))
        rows = rows.select(["query_hash", "chunk_hash", "grade"])
        rows = rows.add_column(1, "iteration", pa.array([0] * len(rows), pa.int64()))
        _write_lines(rows, to / f"qrels.{name}.txt", " ", header=False)
        asked = pc.is_in(tables["queries"].column("query_hash"), _hashes_of(tables["sides"], part))
        topics = tables["queries"].filter(asked).select(["query_hash", "query"])
        plain = pc.replace_substring_regex(topics.column("query"), r"\s+", " ")
        topics = topics.set_column(1, "query", plain)
        _write_lines(topics, to / f"topics.{name}.tsv", "\t", header=False)


def _hashes_of(sides: pa.Table, part: str) -> pa.Array:
    inside = sides.filter(pc.equal(sides.column("part"), part))
    return inside.column("query_hash").combine_chunks()


def _write_lines(rows: pa.Table, path: Path, delimiter: str, *, header: bool) -> None:
    """One line per row, without quotes; no value has the delimiter or a line's end in it."""
    with path.open("wb") as file:
        if header:
            file.write(delimiter.join(rows.column_names).encode() + b"\n")
        for batch in rows.to_batches(_ROWS_AT_ONCE):
            columns = [pc.cast(column, pa.string()) for column in batch.columns]
            lines = pc.binary_join_element_wise(*columns, delimiter).to_pylist()
            file.write("".join(f"{line}\n" for line in lines).encode())
