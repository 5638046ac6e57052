"""What may no longer be kept: old snapshots, and those with something that is forgotten."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.rigs.trainer_world import NOON, World
from tests.unit.trainers.data.test_folder import snapshot

from ragwheel.models.registry import ModelRegistry
from ragwheel.models.retention import TEXTS, prune_snapshots
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas import identity
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.schemas.tombstones import TombstoneKind, Tombstones, tombstone_hash
from ragwheel.trainers.data import folder
from ragwheel.trainers.keeping import SnapshotKeeper
from ragwheel.trainers.parts import Parts

EARLIER = NOON - timedelta(days=180)


def forget(kind: TombstoneKind, value: str, tombstones: Tombstones | None = None) -> Tombstones:
    tombstones = Tombstones() if tombstones is None else tombstones
    tombstones.add(kind, tombstone_hash(kind, value), NOON)
    return tombstones


def two_snapshots(root: Path) -> tuple[str, str]:
    """The second has another search, and a text that the first has not."""
    first, second = snapshot(6), snapshot(7)
    asked = tuple(replace(each, query_id="other") for each in second.queries)
    second = replace(second, queries=asked, snapshot_id="second")
    folder.write(first, root)
    folder.write(second, root)
    return first.snapshot_id, second.snapshot_id


def packs(root: Path) -> set[str]:
    return {path.name for path in (root / TEXTS).iterdir()}


def test_nothing_goes_without_a_reason(tmp_path: Path) -> None:
    two_snapshots(tmp_path)
    before = packs(tmp_path)
    unrelated = forget("chunk", "0" * 32, forget("query", "nobody's"))
    assert prune_snapshots(tmp_path, EARLIER, unrelated) == ()
    assert packs(tmp_path) == before
    assert prune_snapshots(tmp_path / "none", EARLIER, unrelated) == ()


def test_an_old_snapshot_goes_and_texts_that_others_need_stay(tmp_path: Path) -> None:
    first, second = two_snapshots(tmp_path)
    long_ago = (EARLIER - timedelta(days=1)).timestamp()
    os.utime(tmp_path / first / "manifest.json", (long_ago, long_ago))
    assert prune_snapshots(tmp_path, EARLIER, Tombstones(), dry_run=True) == (first,)
    assert prune_snapshots(tmp_path, EARLIER, Tombstones()) == (first,)
    assert not (tmp_path / first).exists()
    assert len(folder.read_tables(tmp_path / second)["texts"]) == 7


def test_a_snapshot_with_a_forgotten_search_goes_with_its_texts(tmp_path: Path) -> None:
    first, second = two_snapshots(tmp_path)
    shared = packs(tmp_path)
    assert prune_snapshots(tmp_path, EARLIER, forget("query", "other")) == (second,)
    assert (tmp_path / first).exists()
    assert len(packs(tmp_path)) == len(shared) - 1


@pytest.mark.parametrize("text", ["text 0 ß", "text 6 ß"])
def test_a_forgotten_text_is_in_no_file(tmp_path: Path, text: str) -> None:
    first, second = two_snapshots(tmp_path)
    content_hash = identity.content_hash(text)
    gone = prune_snapshots(tmp_path, EARLIER, forget("chunk", content_hash))
    # The first text is in the pack that both use, the last in one of the second alone.
    assert gone == (tuple(sorted((first, second))) if text == "text 0 ß" else (second,))
    left = [pq.read_table(path) for path in (tmp_path / TEXTS).iterdir()]
    assert text not in [each for table in left for each in table["text"].to_pylist()]


def test_examples_leave_the_report_with_their_snapshot(tmp_path: Path) -> None:
    made = snapshot()
    folder.write(made, tmp_path / folder.SNAPSHOTS)
    registry = ModelRegistry(tmp_path)
    shift = {"query": "q1", "query_hash": "h", "before": 40, "after": 2}
    report: dict[str, Any] = {
        "snapshot_id": made.snapshot_id,
        "rank_shifts": [shift],
        "changes": {"left": {"came_in": 1, "better": [shift], "worse": []}},
    }
    registry.save_report("m", report)
    store = World({}, [], {}, [])
    parts = Parts(
        store=store, judge=None, registry=registry, cache=VectorCache(tmp_path),  # type: ignore[arg-type]
        publish=lambda event: None, now=lambda: NOON,
    )  # fmt: skip
    keeper, settings = SnapshotKeeper(), TrainerSettings(model_dir=tmp_path)
    keeper.keep(parts, settings)
    assert registry.report("m") == report
    forget("query", "id", store.tombstones)
    keeper.keep(parts, settings)
    left = registry.report("m")
    assert left is not None
    assert '"q1"' not in str(left).replace("'", '"')
    assert left["changes"]["left"]["came_in"] == 1  # type: ignore[index]
    assert not (tmp_path / folder.SNAPSHOTS / made.snapshot_id).exists()


def test_examples_go_even_if_the_process_ended_after_their_snapshot_went(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    shift = {"query": "q1", "query_hash": "h", "before": 40, "after": 2}
    registry.save_report("m", {"snapshot_id": "removed", "rank_shifts": [shift], "changes": {}})
    parts = Parts(
        store=World({}, [], {}, []), judge=None, registry=registry, cache=VectorCache(tmp_path),  # type: ignore[arg-type]
        publish=lambda event: None, now=lambda: NOON,
    )  # fmt: skip
    SnapshotKeeper().keep(parts, TrainerSettings(model_dir=tmp_path))
    assert registry.report("m") == {
        "snapshot_id": "removed", "rank_shifts": [{**shift, "query": ""}], "changes": {}
    }  # fmt: skip
