"""What every format is made of: columns of a snapshot, chunks as rows of one table of texts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SnapshotTables = dict[str, pa.Table]
"""What `folder.read_tables` gives."""
TextRows = npt.NDArray[np.int64]

#: Part of a snapshot → what others call it. Queries that are aside are in no part.
SPLITS = {"train": "train", "dev": "dev", "gate": "test"}


class Listed(NamedTuple):
    """Chunks that examples name.

    Attributes:
        example: row of the example, ascending.
        text: row of the chunk in `texts`.
        grade: 0-3.
    """

    example: TextRows
    text: TextRows
    grade: npt.NDArray[np.float32]

    def starts(self, examples: int) -> TextRows:
        """Where each example's chunks begin, and where all end."""
        return np.searchsorted(self.example, np.arange(examples + 1))


def positives(tables: SnapshotTables, part: str) -> Listed:
    """What the examples of a part learn."""
    column = tables[part].column("positives").combine_chunks()
    found = column.flatten()
    grade = found.field("grade").to_numpy(zero_copy_only=False).astype(np.float32)
    return Listed(_examples(column), _rows(tables, found.field("chunk_hash")), grade)


def negatives(tables: SnapshotTables, part: str) -> Listed:
    """What the examples of a part push away."""
    column = tables[part].column("negatives").combine_chunks()
    found = column.flatten()
    return Listed(_examples(column), _rows(tables, found), np.zeros(len(found), np.float32))


def graded(tables: SnapshotTables) -> pa.Table:
    """Everything that is known of each pair that has evidence, parts and beliefs included.

    Columns: query_hash, chunk_hash, grade, epoch, source, looks, agreement, belief, part, cluster,
    segment, inclusion_probability, example_weight (null where nothing is learnt of the query).
    """
    evidence = tables["evidence"]
    said = evidence.column("said").combine_chunks()
    names = ["query_hash", "chunk_hash", "grade", "epoch", "source", "looks", "agreement"]
    pairs = pa.table({name: said.field(name) for name in names})
    pairs = pairs.append_column("belief", evidence.column("belief"))
    pairs = pairs.append_column("_row", pa.array(np.arange(len(pairs))))
    queries = tables["queries"].select(["query_hash", "segment", "inclusion_probability"])
    sides = tables["sides"].rename_columns(["query_hash", "cluster", "part"])
    weights = pa.concat_tables([
        tables[part].select(["query_hash", "weight"]) for part in ("train", "dev")
    ]).rename_columns(["query_hash", "example_weight"])  # fmt: skip
    for other in (sides, queries, weights):
        pairs = pairs.join(other, "query_hash", join_type="left outer")
    return pairs.sort_by("_row").drop_columns(["_row"])


def text_table(tables: SnapshotTables) -> pa.Table:
    """Texts of all chunks, by hash."""
    return tables["texts"].sort_by("chunk_hash")


def _examples(column: pa.Array) -> TextRows:
    return np.asarray(pc.list_parent_indices(column).to_numpy(), np.int64)


def _rows(tables: SnapshotTables, hashes: pa.Array) -> TextRows:
    known = tables["texts"].column("chunk_hash").combine_chunks()
    return np.asarray(pc.index_in(hashes, known).to_numpy(zero_copy_only=False), np.int64)
