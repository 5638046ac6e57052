"""Every format by name, and the one way to write one: whole, into a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ragwheel.backends import files
from ragwheel.operations.exports import passages, qrels, sentence_transformers
from ragwheel.operations.exports.columns import SnapshotTables, graded
from ragwheel.schemas.errors import TerminalError
from ragwheel.trainers.data import folder

#: Name → what writes it into a folder.
FORMATS: Mapping[str, Callable[[SnapshotTables, Path], None]] = {
    "sentence-transformers": sentence_transformers.write,
    "jsonl": passages.write,
    "beir": qrels.write_beir,
    "trec": qrels.write_trec,
}
#: In every export: what is known of each graded pair, where the format itself has no place for it.
PAIRS_FILE = "pairs.parquet"


class ExportError(TerminalError):
    """Nothing was exported; the message names the fix."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        files: path below `folder` → bytes.
    """

    snapshot_id: str
    format: str
    folder: str
    files: Mapping[str, int]


def export(snapshot: Path, name: str, to: Path) -> Exported:
    """Write a snapshot in a format.

    Args:
        snapshot: its folder.
        name: one of `FORMATS`.
        to: a new or empty folder; it is made whole or not at all.

    Raises:
        ExportError: `to` is a file, or a folder that is not empty.
        SnapshotError: the snapshot is missing or damaged.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ExportError(f"{to} is there and not empty: name a new or empty folder")
    tables = folder.read_tables(snapshot)
    with files.staged_folder(to.absolute().parent) as staged:
        FORMATS[name](tables, staged)
        pq.write_table(graded(tables), staged / PAIRS_FILE, compression="zstd")
        files.put_in_place(staged, to)
    written = sorted(path for path in to.rglob("*") if path.is_file())
    sizes = {path.relative_to(to).as_posix(): path.stat().st_size for path in written}
    return Exported(snapshot.name, name, str(to), sizes)
