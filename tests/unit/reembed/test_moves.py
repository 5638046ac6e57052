"""What each move does, in which order, and that it may be made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.rigs.reembedding import AT, DrawnEncoder, MemoryIndex, MemoryLog, planned

from ragwheel.models.vectors import VectorCache
from ragwheel.reembed.filling import Building
from ragwheel.reembed.indexes.contracts import IndexRefusedError
from ragwheel.reembed.moves import Moves
from ragwheel.reembed.runners import LocalRunner
from ragwheel.reembed.states import Reembed, ReembedRefusedError
from ragwheel.schemas.events import IndexEvent

NEW = DrawnEncoder("new")


class World:
    """Three chunks, searched in `docs__1`."""

    def __init__(self, folder: Path) -> None:
        self.log, self.index = MemoryLog(), MemoryIndex({"docs__1": ("", {})}, "docs__1")
        for number in range(3):
            self.log.put(f"c-{number}", f"text {number}")
        self.log.said["1"] = IndexEvent(
            index="docs", index_version="1", ts=AT, complete=True, chunks=3,
            document_fingerprint="space-of-old",
        )  # fmt: skip
        self.published: list[IndexEvent] = []
        self.moves = Moves(self.log, self.index, self.published.append, "ops", lambda: AT)
        self.cache = VectorCache(folder)

    def building(self, reembed: Reembed) -> Building:
        known = self.cache.known(NEW)
        return Building(self.log, self.index, reembed, LocalRunner(NEW), known, "fp32")

    def built(self) -> Reembed:
        plan = planned(NEW)
        return self.moves.run(plan, self.building(plan))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_run_says_that_it_runs_before_it_does_and_that_it_built_after(world: World) -> None:
    assert world.built().state == "built"
    assert [each.state for each in world.log.saved] == ["running", "built"]
    assert len(world.index.builds["docs__2"][1]) == 3
    assert world.index.alias == "docs__1"
    assert world.published == []


def test_searches_move_before_anything_is_declared(world: World) -> None:
    verified = replace(world.built(), state="verified")
    world.index.alias = "somebody's"
    with pytest.raises(IndexRefusedError, match="somebody moved it"):
        world.moves.cutover(verified, world.building(verified))
    assert world.published == []
    assert world.log.copies == 0


def test_a_cutover_declares_what_serves_and_takes_in_what_came_meanwhile(world: World) -> None:
    verified = replace(world.built(), state="verified")
    done = world.moves.cutover(verified, world.building(verified))
    assert (done.state, world.index.alias) == ("cut over", "docs__2")
    (said,) = world.published
    assert (said.index_version, said.complete, said.chunks) == ("2", True, 3)
    assert said.document_fingerprint == NEW.fingerprint
    assert world.moves.cutover(done, world.building(done)) == done
    assert len(world.published) == 1


def test_a_build_that_lost_chunks_since_its_verification_is_not_cut_over(world: World) -> None:
    verified = replace(world.built(), state="verified")
    world.index.builds["docs__2"][1].pop("c-1")
    with pytest.raises(ReembedRefusedError, match="the new build holds 2 chunks, and 3 were"):
        world.moves.cutover(verified, world.building(verified))
    assert world.index.alias == "docs__1"


def test_a_rollback_declares_the_old_build_last_and_says_what_it_lacks(world: World) -> None:
    verified = replace(world.built(), state="verified")
    done = world.moves.cutover(verified, world.building(verified))
    world.published.clear()
    back, came = world.moves.rollback(done, "slower")
    assert (back.state, back.reason, came) == ("rolled back", "slower", 3)
    assert world.index.alias == "docs__1"
    assert [(each.index_version, each.complete) for each in world.published] == [
        ("2", False), ("1", True),
    ]  # fmt: skip
    assert world.published[1].document_fingerprint == "space-of-old"
    assert world.moves.rollback(back, "again") == (back, 0)


def test_there_is_no_way_back_from_a_first_build_or_from_what_is_not_searched(
    world: World,
) -> None:
    verified = replace(world.built(), state="verified")
    with pytest.raises(ReembedRefusedError, match="not searched"):
        world.moves.rollback(verified, "")
    with pytest.raises(ReembedRefusedError, match="none to go back to"):
        world.moves.rollback(replace(verified, from_physical=""), "")


def test_an_abort_drops_the_new_build_and_a_retirement_the_old_one(world: World) -> None:
    built = world.built()
    assert world.moves.abort(built, "enough").state == "aborted"
    assert set(world.index.builds) == {"docs__1"}
    world.log.written.clear()  # the next one is another
    again = world.built()
    cut = world.moves.cutover(replace(again, state="verified"), world.building(again))
    assert world.moves.retire(cut).state == "retired"
    assert set(world.index.builds) == {"docs__2"}
