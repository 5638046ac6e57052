"""Which build of an index is its corpus, and which rows of a corpus a segment searches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ragwheel.trainers.data.indexes import (
    Build,
    Declaration,
    Named,
    corpus_builds,
    index_of_segments,
)
from ragwheel.trainers.data.records import Corpus, DeclaredIndex, IndexSlice

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ABOUT = DeclaredIndex("e5", "", "", 0)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def build(
    version: str,
    minute: int,
    *,
    came: int = 10,
    said: int | None = None,
    complete: bool = True,
    index: str = "docs",
) -> Build:
    """A build whose newest chunk and declaration are of that minute."""
    declaration = None if said is None else Declaration(at(minute), complete, said, ABOUT)
    return Build(index, version, came, at(minute), declaration)


def named(version: str, retrievals: int, *, index: str = "docs", segment: str = "s") -> Named:
    return Named(segment, index, version, retrievals, at(0))


def chosen(builds: list[Build], names: list[Named] | None = None) -> str:
    return corpus_builds(builds, names or [])["docs"].version


@pytest.mark.parametrize(
    ("builds", "names", "version"),
    [
        # Declared: the newest complete one, whatever searches name and whatever landed since.
        ([build("1", 1, said=10), build("2", 2, said=10)], [], "2"),
        ([build("1", 1, said=10), build("2", 2, said=10)], [named("1", 100)], "2"),
        ([build("1", 1, said=10), build("2", 2, said=11)], [], "1"),
        ([build("1", 1, said=10), build("2", 2, said=5, complete=False)], [], "1"),
        ([build("1", 1, said=10), build("2", 2)], [named("2", 100)], "1"),
        ([build("2", 2, said=10), build("1", 3, said=10)], [], "1"),
        ([build("1", 1, said=9)], [], "1"),
        # Undeclared: what most of the newest searches name, then the newest.
        ([build("1", 1), build("2", 2)], [named("1", 60), named("2", 40)], "1"),
        ([build("1", 1), build("2", 2)], [named("1", 40), named("2", 60)], "2"),
        ([build("1", 1), build("2", 2)], [named("gone", 100)], "2"),
        ([build("1", 1), build("2", 2)], [named("1", 9, index="other")], "2"),
        # What is known to be incomplete counts only where there is nothing else.
        ([build("1", 1), build("2", 2, said=99)], [], "1"),
        ([build("1", 1, said=99), build("2", 2, said=99)], [named("1", 5)], "1"),
    ],
)
def test_the_build_that_is_the_corpus(
    builds: list[Build], names: list[Named], version: str
) -> None:
    assert chosen(builds, names) == version
    assert chosen(builds[::-1], names) == version


def test_each_index_has_a_build_of_its_own() -> None:
    builds = [build("1", 1), build("9", 9, index="code")]
    assert {name: of.version for name, of in corpus_builds(builds, []).items()} == {
        "code": "9", "docs": "1",
    }  # fmt: skip


def test_a_segment_searches_the_index_that_most_of_its_newest_searches_name() -> None:
    trial = [named("1", 99), named("2", 1, index="trial"), named("3", 2, segment="t")]
    assert index_of_segments(trial) == {"s": "docs", "t": "docs"}
    assert index_of_segments([]) == {}


CORPUS = Corpus(
    ("a", "c", "a", "b"),
    ("A", "C", "A", "B"),
    (IndexSlice("one", "1", 0, 2), IndexSlice("two", "7", 2, 4, complete=True)),
    {"left": "one", "right": "two", "gone": "three"},
)


def test_a_chunk_of_two_indexes_has_a_row_in_each() -> None:
    assert CORPUS.row_of("left", "a") == 0
    assert CORPUS.row_of("right", "a") == 2
    assert CORPUS.row_of("right", "b") == 3
    assert CORPUS.row_of("left", "b") is None
    assert CORPUS.row_of("left", "z") is None
    assert CORPUS.slice_of("right").version == "7"


def test_a_segment_of_no_known_index_has_no_rows_unless_there_is_but_one() -> None:
    for segment in ("gone", "never seen"):
        of = CORPUS.slice_of(segment)
        assert (of.start, of.stop, CORPUS.row_of(segment, "a")) == (0, 0, None)
    alone = Corpus(("a", "b"), ("A", "B"))
    assert (alone.slice_of("any").start, alone.slice_of("any").stop) == (0, 2)
    assert alone.row_of("any", "b") == 1
    assert Corpus((), ()).row_of("any", "b") is None
