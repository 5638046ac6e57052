"""Snapshots hold texts, so they go: with age, and when something in them is forgotten.

A snapshot is named by its content and never changed, so it is removed whole. What it says of a
model stays in the model's manifest and report; the examples of queries in a report go with it.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from ragwheel.backends import files
from ragwheel.models.manifest import MANIFEST_FILE
from ragwheel.schemas.tombstones import Tombstones

#: Below the folder of snapshots: packs of texts, which they share.
TEXTS = "texts"


def prune_snapshots(
    root: Path, before: datetime, tombstones: Tombstones, *, dry_run: bool = False
) -> tuple[str, ...]:
    """Remove snapshots written before a time, and those that hold what is forgotten.

    A text of a chunk lies in a pack that snapshots share: with one forgotten text all go that name
    the pack. Packs that no snapshot names any more go as well. After a crash the next call goes on.

    Args:
        root: the folder of snapshots; it need not exist.
        dry_run: only say what would go.

    Returns:
        Ids of what was removed, sorted.
    """
    manifests = {path.parent: _read(path) for path in sorted(root.glob(f"[!.]*/{MANIFEST_FILE}"))}
    packs = sorted((root / TEXTS).glob("[!.]*.parquet"))
    forgotten = {path.name for path in packs if _has_chunk(path, tombstones)}
    gone = [
        folder
        for folder, manifest in manifests.items()
        if (folder / MANIFEST_FILE).stat().st_mtime < before.timestamp()
        or not forgotten.isdisjoint(manifest.get("texts", ()))
        or _has_query(folder / "queries.parquet", tombstones)
    ]
    if not dry_run:
        for folder in gone:
            # First the manifest: what is left without it is no snapshot.
            files.remove_file(folder / MANIFEST_FILE)
            shutil.rmtree(folder)
        named = {
            name
            for folder, manifest in manifests.items()
            if folder not in gone
            for name in manifest.get("texts", ())
        }
        for path in packs:
            if path.name not in named:
                files.remove_file(path)
    return tuple(folder.name for folder in gone)


def without_examples(report: dict[str, Any]) -> dict[str, Any]:
    """A report of the gate without the texts of queries; ranks, hashes and figures stay."""
    report = orjson.loads(orjson.dumps(report))
    shifts = list(report.get("rank_shifts", ()))
    for changes in report.get("changes", {}).values():
        shifts += [*changes["better"], *changes["worse"]]
    for shift in shifts:
        shift["query"] = ""
    return dict(report)


def _read(path: Path) -> dict[str, Any]:
    """A manifest; one that is damaged names nothing, and goes by its age and its queries."""
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _has_query(path: Path, tombstones: Tombstones) -> bool:
    if not len(tombstones) or not path.exists():
        return False
    import pyarrow.parquet as pq

    ids = pq.read_table(path, columns=["query_id"]).column("query_id").to_pylist()
    return any(map(tombstones.query, ids))


def _has_chunk(path: Path, tombstones: Tombstones) -> bool:
    if not len(tombstones):
        return False
    import pyarrow.parquet as pq

    hashes = pq.read_table(path, columns=["chunk_hash"]).column("chunk_hash").to_pylist()
    return any(map(tombstones.chunk, hashes))
