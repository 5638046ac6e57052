"""The sides of all queries on disk: read before a snapshot is made, replaced whole after.

Sides are never dealt anew where they were dealt before: a query that moved from train to gate would
be judged by what it was learnt from.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ragwheel.backends import files
from ragwheel.schemas.errors import TerminalError
from ragwheel.trainers.data import arrow
from ragwheel.trainers.data.split import Membership, Part, Sides

#: In a model directory, and in each snapshot.
SIDES_FILE = "sides.parquet"
_DIGEST = b"ragwheel.digest"


class SidesError(TerminalError):
    """The sides of the queries cannot be read; the message names the file and the fix."""


class SideRow(NamedTuple):
    """A row of the file."""

    query_hash: str
    leader: str
    part: Part


def table_of_sides(sides: Sides) -> pa.Table:
    """One row per query, by hash."""
    rows = [SideRow(query_hash, *sides.of[query_hash]) for query_hash in sorted(sides.of)]
    return arrow.table_of(rows, SideRow)


def sides_of_table(table: pa.Table) -> Sides:
    """The sides that `table_of_sides` made the table from."""
    rows = arrow.values_of(table, SideRow)
    return Sides({row.query_hash: Membership(row.leader, row.part) for row in rows})


def read_sides(path: Path) -> Sides:
    """The sides in a file; none if there is no file.

    Raises:
        SidesError: the file is damaged.
    """
    if not path.exists():
        return Sides()
    try:
        table = pq.read_table(path)
        if table.schema.metadata[_DIGEST].decode() != arrow.digest(table):
            raise ValueError("its content is not what was written")
        return sides_of_table(table)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise SidesError(
            f"{path} is damaged ({error}), and queries must not change sides: put {SIDES_FILE} of "
            "the newest folder below snapshots/ in its place, or restore a backup"
        ) from None


def write_sides(path: Path, sides: Sides) -> None:
    """Replace the file."""
    table = table_of_sides(sides)
    table = table.replace_schema_metadata({_DIGEST: arrow.digest(table).encode()})
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd")
    files.replace_file(path, out.getvalue().to_pybytes())
