"""A build has what the index has, whatever happens between two passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.rigs.reembedding import POISON, DrawnEncoder, MemoryIndex, MemoryLog, planned

from ragwheel.models.vectors import VectorCache
from ragwheel.reembed.embed_shard import ShardTask, embed_shard
from ragwheel.reembed.filling import Building
from ragwheel.reembed.indexes.contracts import IndexRefusedError, Points, SpaceVectors
from ragwheel.reembed.runners import LocalRunner
from ragwheel.reembed.shards import NO_TEXT, Totals
from ragwheel.reembed.states import ReembedRefusedError
from ragwheel.schemas import identity
from ragwheel.schemas.errors import TransientError


class World:
    """Ten chunks in shards of four, a store in memory and a model that draws."""

    def __init__(self, folder: Path) -> None:
        self.note = folder / "embedded"
        self.note.touch()
        self.model = DrawnEncoder("new", self.note)
        self.cache = VectorCache(folder / "vectors")
        self.log, self.index = MemoryLog(), MemoryIndex()
        self.reembed = planned(self.model, old_physical="")
        self.seen: list[Totals] = []
        for number in range(10):
            self.log.put(f"c-{number}", f"text {number}")

    def building(self) -> Building:
        return Building(
            self.log, self.index, self.reembed, LocalRunner(self.model),
            self.cache.known(self.model), "fp32", self.seen.append, shard_chunks=4,
        )  # fmt: skip

    def stored(self) -> set[str]:
        return set(self.index.builds["docs__2"][1])

    def embedded(self) -> list[str]:
        return self.note.read_text().splitlines()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_everything_is_embedded_once_and_accounted_for(world: World) -> None:
    totals = world.building().catch_up()
    assert (totals.corpus, totals.embedded, totals.unaccounted, totals.waiting) == (10, 10, 0, 0)
    assert totals.shards == totals.shards_done == 3
    assert world.stored() == set(world.log.live)
    assert sorted(world.embedded()) == [f"text {number}" for number in range(10)]
    assert [each.shards_done for each in world.seen] == [1, 2, 3]


def test_a_second_pass_finds_nothing_to_do(world: World) -> None:
    world.building().catch_up()
    before = dict(world.log.written)
    world.building().catch_up()
    assert world.log.written == before
    assert len(world.embedded()) == 10


def test_what_comes_changes_and_goes_between_passes_is_followed(world: World) -> None:
    world.building().catch_up()
    world.log.put("c-new", "text that came")
    world.log.put("c-1", "text 1, edited")
    del world.log.live["c-2"]
    totals = world.building().catch_up()
    assert (totals.corpus, totals.embedded, totals.unaccounted) == (10, 10, 0)
    assert world.stored() == set(world.log.live)
    edited = world.index.builds["docs__2"][1]["c-1"]
    assert np.array_equal(edited, world.model.encode(["text 1, edited"], "query")[0])


def test_an_edit_that_came_before_its_shard_was_done_wins(world: World) -> None:
    building = world.building()
    building._plan()
    world.log.put("c-3", "text 3, edited")
    building.catch_up()
    found = world.index.builds["docs__2"][1]["c-3"]
    assert np.array_equal(found, world.model.encode(["text 3, edited"], "query")[0])
    assert "text 3" not in world.embedded()


def test_a_chunk_that_goes_and_comes_back_is_embedded_again(world: World) -> None:
    world.building().catch_up()
    everything = dict(world.log.live)
    world.log.live.clear()
    assert world.building().catch_up().embedded == 0
    assert world.stored() == set()
    world.log.live |= everything
    totals = world.building().catch_up()
    assert (totals.embedded, totals.unaccounted) == (10, 0)
    assert world.stored() == set(everything)


def test_one_text_under_two_ids_is_embedded_once_and_stored_twice(world: World) -> None:
    world.log.put("c-twin", "text 4")
    assert world.building().catch_up().embedded == 11
    assert world.embedded().count("text 4") == 1
    twin, first = (world.index.builds["docs__2"][1][each] for each in ("c-twin", "c-4"))
    assert np.array_equal(twin, first)


def test_a_text_that_the_model_cannot_embed_costs_itself_alone(world: World) -> None:
    world.log.put("c-bad", POISON)
    totals = world.building().catch_up()
    assert totals.embedded == 10
    assert totals.failed == {"the model makes no usable vector of it": 1}
    assert totals.unaccounted == 0
    assert "c-bad" not in world.stored()


def test_a_chunk_without_a_text_is_skipped_and_taken_when_it_has_one(world: World) -> None:
    world.log.put("c-bare", "comes later", with_text=False)
    assert world.building().catch_up().skipped == {NO_TEXT: 1}
    world.log.put("c-bare", "comes later")
    totals = world.building().catch_up()
    assert (totals.embedded, totals.skipped, totals.unaccounted) == (11, {}, 0)


def test_what_the_store_refuses_has_failed_with_its_reason(world: World) -> None:
    world.index.refuses = {"c-5": "id is too long"}
    totals = world.building().catch_up()
    assert (totals.embedded, totals.failed) == (9, {"id is too long": 1})
    # Offered again each time, and alone; what is in is left alone.
    world.note.write_text("")
    assert world.building().catch_up().failed == {"id is too long": 1}
    assert world.embedded() == []
    world.index.refuses = {}
    totals = world.building().catch_up()
    assert (totals.embedded, totals.failed, totals.unaccounted) == (10, {}, 0)


def test_vectors_that_are_cached_are_not_embedded_again(world: World) -> None:
    world.cache.embed(world.model, [f"text {number}" for number in range(8)])
    world.note.write_text("")
    assert world.building().catch_up().embedded == 10
    assert sorted(world.embedded()) == ["text 8", "text 9"]


def test_vectors_of_a_build_are_there_for_whoever_embeds_the_corpus_next(world: World) -> None:
    world.building().catch_up()
    world.note.write_text("")
    world.cache.embed(world.model, [f"text {number}" for number in range(10)])
    assert world.embedded() == []


def test_chunks_that_come_faster_than_they_are_embedded_end_it_with_an_error(world: World) -> None:
    building = world.building()
    building.watch = lambda _: world.log.put(f"c-{len(world.log.live)}", f"{len(world.log.live)}!")
    with pytest.raises(TransientError, match="still new chunks"):
        building.catch_up()


def test_another_model_of_the_same_dimension_is_refused(world: World) -> None:
    """Of equal dimension nothing but the fingerprint tells whose vectors they are."""
    other = DrawnEncoder("another")
    assert other.dimension == world.model.dimension
    building = world.building()
    building.runner = LocalRunner(other)
    with pytest.raises(ReembedRefusedError, match="space-of-another"):
        building.catch_up()
    assert world.stored() == set()
    with pytest.raises(IndexRefusedError, match="space-of-another"):
        world.index.upsert(
            world.reembed.build,
            Points(
                ["c"], ["0" * 32], SpaceVectors(other.fingerprint, other.encode(["?"], "query"))
            ),
        )


def test_a_shard_without_texts_makes_no_vectors() -> None:
    made = embed_shard(DrawnEncoder("new"), ShardTask("space-of-new", []))
    assert made.vectors.shape == (0, 16)


def test_a_reused_name_with_another_fingerprint_is_refused(world: World) -> None:
    world.index.builds["docs__2"] = ("space-of-somebody", {})
    with pytest.raises(IndexRefusedError, match="space-of-somebody"):
        world.building().catch_up()


def test_hashes_are_those_of_the_texts() -> None:
    log = MemoryLog()
    log.put("c", "text")
    assert log.live["c"] == identity.content_hash("text")
