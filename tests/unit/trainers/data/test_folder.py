"""A snapshot on disk: whole, verified, shared texts, and equal to what was written."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
from tests.rigs.trainer_world import NOON, graded, recipe

from ragwheel.schemas import identity
from ragwheel.trainers.data import arrow, folder
from ragwheel.trainers.data.records import Corpus, DeclaredIndex, IndexSlice, SampledQuery
from ragwheel.trainers.data.snapshot import Snapshot, build_snapshot
from ragwheel.trainers.data.split import Membership, Part, Sides

PARTS: tuple[Part, ...] = ("train", "dev", "gate", "aside")


def snapshot(chunks: int = 6) -> Snapshot:
    texts = [f"text {number} ß" for number in range(chunks)]
    hashes = sorted(map(identity.content_hash, texts))
    by_hash = {identity.content_hash(text): text for text in texts}
    declared = DeclaredIndex("m", "f", "query: ", 64)
    corpus = Corpus(
        (*hashes, hashes[0]), tuple(by_hash[each] for each in (*hashes, hashes[0])),
        (
            IndexSlice("main", "2", 0, chunks, True, declared),
            IndexSlice("b", "", chunks, chunks + 1),
        ),
        {"left": "main", "right": "b"},
    )  # fmt: skip
    queries = [
        SampledQuery(
            identity.query_hash(f"q{number}"), f"q{number}", "id", "left", NOON, "all", 0.3, 2,
            tuple(hashes[:3]), NOON,
        )
        for number in range(12)
    ]  # fmt: skip
    sides = Sides({
        each.query_hash: Membership(each.query_hash, PARTS[at % 4])
        for at, each in enumerate(queries)
    })  # fmt: skip
    grades = [
        graded(each.query_hash, hashes[at], 3 if at == 0 else 0)
        for each in queries
        for at in range(3)
    ]
    return build_snapshot(
        queries, sides, grades, lambda _, chunk: 0.7 if chunk == hashes[0] else 0.1, corpus,
        recipe(), dropped={"why": 3}, noise={"*": {"false_positive_rate": 0.25}},
    )  # fmt: skip


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    written = snapshot()
    path = folder.write(written, tmp_path)
    assert path == tmp_path / written.snapshot_id
    assert folder.read(path) == written


def test_writing_again_changes_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = folder.write(snapshot(), tmp_path)
    before = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")}
    assert folder.write(snapshot(), tmp_path) == path
    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")} == before


def test_an_unfinished_folder_is_no_snapshot(tmp_path: Path) -> None:
    written = snapshot()
    (tmp_path / written.snapshot_id).mkdir(parents=True)
    (tmp_path / written.snapshot_id / "queries.parquet").write_bytes(b"part")
    assert folder.stored(tmp_path) == []
    assert folder.read(folder.write(written, tmp_path)) == written


def test_texts_are_stored_once_for_all_snapshots(tmp_path: Path) -> None:
    folder.write(snapshot(50), tmp_path)
    [first] = (tmp_path / "texts").iterdir()
    path = folder.write(snapshot(53), tmp_path)
    [added] = {*(tmp_path / "texts").iterdir()} - {first}
    assert pq.read_table(added).num_rows == 3
    assert folder.read(path) == snapshot(53)


def test_a_damaged_pack_is_not_relied_on_and_is_written_again(tmp_path: Path) -> None:
    folder.write(snapshot(50), tmp_path)
    [pack] = (tmp_path / "texts").iterdir()
    content = pack.read_bytes()
    pack.write_bytes(content[:-1] + b"\0")
    path = folder.write(snapshot(53), tmp_path)
    assert folder.read(path) == snapshot(53)


@pytest.mark.parametrize("name", [
    "queries", "sides", "grades", "evidence", "train", "dev", "corpus", "texts", "manifest",
])  # fmt: skip
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damage_is_found_and_named(tmp_path: Path, name: str, damage: str) -> None:
    path = folder.write(snapshot(), tmp_path)
    [pack] = (tmp_path / "texts").iterdir()
    named = {"texts": pack, "manifest": path / "manifest.json"}
    victim = named.get(name, path / f"{name}.parquet")
    if damage == "missing":
        victim.unlink()
    else:
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 0x01
        victim.write_bytes(content)
    said = "holds no snapshot" if (name, damage) == ("manifest", "missing") else victim.name
    with pytest.raises(folder.SnapshotError, match=said):
        folder.read(path)


def test_a_manifest_that_was_edited_is_found(tmp_path: Path) -> None:
    path = folder.write(snapshot(), tmp_path)
    manifest = orjson.loads((path / "manifest.json").read_bytes())
    manifest["recipe"]["seed"] += 1
    (path / "manifest.json").write_bytes(orjson.dumps(manifest))
    with pytest.raises(folder.SnapshotError, match="digest is not that of its content"):
        folder.read(path)


def test_the_id_does_not_depend_on_the_writer_of_the_files(tmp_path: Path) -> None:
    path = folder.write(snapshot(), tmp_path)
    table = pq.read_table(path / "evidence.parquet")
    pq.write_table(table, tmp_path / "other.parquet", compression="none", row_group_size=2)
    assert (tmp_path / "other.parquet").read_bytes() != (path / "evidence.parquet").read_bytes()
    assert arrow.digest(pq.read_table(tmp_path / "other.parquet")) == arrow.digest(table)


def test_a_snapshot_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    first, second = folder.write(snapshot(6), tmp_path), folder.write(snapshot(7), tmp_path)
    assert folder.find(tmp_path, first.name[:6]) == first
    assert [each.snapshot_id for each in folder.stored(tmp_path)] == sorted(
        (first.name, second.name)
    )
    with pytest.raises(folder.SnapshotError, match=f"known: .*{first.name}.*--list"):
        folder.find(tmp_path, "nothing")
    with pytest.raises(folder.SnapshotError, match="no snapshot is called ''"):
        folder.find(tmp_path, "")
