"""What sentence-transformers trains on: triplets for its embedding losses, lists for its rerankers.

    {train,dev}/triplets.parquet   anchor, positive, negative: every pair of a positive and a grade
                                   of 0 of one query (MultipleNegativesRankingLoss, TripletLoss …)
    {train,dev}/lists.parquet      query, docs, labels: grades as floats (LambdaLoss, ListNetLoss …)

Columns are in the order in which the losses take them, and there are no others, because a loss
takes every column as an input: beliefs and weights are in `pairs.parquet`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ragwheel.operations.exports.columns import Listed, SnapshotTables, negatives, positives

#: Rows that are in memory with their texts at once.
_TRIPLETS_AT_ONCE = 50_000
_LISTS_AT_ONCE = 2_000


def write(tables: SnapshotTables, to: Path) -> None:
    """Write all files."""
    for part in ("train", "dev"):
        (to / part).mkdir()
        write_triplets(tables, part, to / part / "triplets.parquet")
        write_lists(tables, part, to / part / "lists.parquet")


def write_triplets(tables: SnapshotTables, part: str, path: Path) -> int:
    """Write the triplets of a part; returns how many there are. Memory does not grow with them."""
    queries, texts = _queries(tables, part), tables["texts"].column("text").combine_chunks()
    good, bad = positives(tables, part), negatives(tables, part)
    starts = bad.starts(len(queries))
    many = np.diff(starts)[good.example]
    ends = np.cumsum(many)
    schema = pa.schema([(name, pa.string()) for name in ("anchor", "positive", "negative")])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        at = 0
        while at < len(many):
            done = ends[at] - many[at]
            stop = max(at + 1, int(np.searchsorted(ends, done + _TRIPLETS_AT_ONCE, "right")))
            count = many[at:stop]
            offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            example = np.repeat(good.example[at:stop], count)
            rows = (
                queries.take(pa.array(example)),
                texts.take(pa.array(np.repeat(good.text[at:stop], count))),
                texts.take(pa.array(bad.text[starts[example] + offset])),
            )
            file.write_batch(pa.record_batch(list(rows), schema=schema))
            at = stop
    return int(many.sum())


def write_lists(tables: SnapshotTables, part: str, path: Path) -> None:
    """Write the graded lists of a part, best grade first."""
    queries, texts = _queries(tables, part), tables["texts"].column("text").combine_chunks()
    listed = _both(positives(tables, part), negatives(tables, part))
    starts = listed.starts(len(queries))
    schema = pa.schema([
        ("query", pa.string()),
        ("docs", pa.list_(pa.string())),
        ("labels", pa.list_(pa.float32())),
    ])  # fmt: skip
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for at in range(0, len(queries), _LISTS_AT_ONCE):
            stop = min(at + _LISTS_AT_ONCE, len(queries))
            inside = slice(starts[at], starts[stop])
            offsets = pa.array((starts[at : stop + 1] - starts[at]).astype(np.int32))
            docs = texts.take(pa.array(listed.text[inside]))
            labels = pa.array(listed.grade[inside])
            columns = [
                queries.slice(at, stop - at),
                pa.ListArray.from_arrays(offsets, docs),
                pa.ListArray.from_arrays(offsets, labels),
            ]
            file.write_batch(pa.record_batch(columns, schema=schema))


def _queries(tables: SnapshotTables, part: str) -> pa.Array:
    return tables[part].column("query").combine_chunks()


def _both(good: Listed, bad: Listed) -> Listed:
    example = np.concatenate([good.example, bad.example])
    text = np.concatenate([good.text, bad.text])
    grade = np.concatenate([good.grade, bad.grade])
    order = np.lexsort((text, -grade, example))
    return Listed(example[order], text[order], grade[order])
