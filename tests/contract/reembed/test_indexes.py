"""One contract for every vector store, on real engines."""

from __future__ import annotations

import numpy as np
import pytest
from tests.contract.reembed.stores import SearchLoad, Store, points, unit

from ragwheel.reembed.indexes.contracts import (
    IndexBuild,
    IndexRefusedError,
    SpaceVectors,
    physical_name,
)

pytestmark = pytest.mark.integration

IDS = [f"chunk-{number}'s" for number in range(20)]
OLD, NEW = unit(20, 8, seed=1), unit(20, 8, seed=2)


def named(store: Store, version: str) -> str:
    """The physical name of a version; stores of several tests may be one."""
    return physical_name(store.index.display.rpartition("#")[2], version)


def build_on(store: Store, version: str = "two") -> IndexBuild:
    """A build of the second model, beside what the service has; empty."""
    build = IndexBuild(named(store, version), "two", 8, store.index.serving())
    store.index.create(build)
    return build


def test_a_build_takes_chunks_finds_them_and_forgets_them(store: Store) -> None:
    build = build_on(store)
    assert store.index.upsert(build, points(IDS, "two", OLD)) == {}
    assert store.index.upsert(build, points(IDS[:10], "two", NEW[:10])) == {}
    store.index.upsert(build, points([], "two", NEW[:0]), gone=IDS[15:])
    found = store.index.verify(build, SpaceVectors("two", NEW[:10]), depth=3)
    assert found.count == 15
    assert [hits[0] for hits in found.hits] == IDS[:10]
    assert not set(IDS[15:]) & {each for hits in found.hits for each in hits}


def test_vectors_of_another_model_of_the_same_dimension_are_refused_everywhere(
    store: Store,
) -> None:
    build = build_on(store)
    with pytest.raises(IndexRefusedError, match="vectors of one do not belong"):
        store.index.upsert(build, points(IDS, "one", OLD))
    with pytest.raises(IndexRefusedError, match="vectors of one do not belong"):
        store.index.verify(build, SpaceVectors("one", OLD[:1]))
    posing = IndexBuild(build.physical, "one", 8)
    for verb in (store.index.create, store.index.drop):
        with pytest.raises(IndexRefusedError, match="holds vectors of two, not of one"):
            verb(posing)
    with pytest.raises(IndexRefusedError, match="holds vectors of two"):
        store.index.upsert(posing, points(IDS, "one", OLD))
    assert store.index.verify(build, None).count == 0


def test_a_wrong_dimension_and_a_missing_build_are_refused(store: Store) -> None:
    build = build_on(store)
    with pytest.raises(IndexRefusedError, match="of 4 dimensions do not fit"):
        store.index.upsert(build, points(IDS, "two", unit(20, 4)))
    with pytest.raises(IndexRefusedError, match="reembed run"):
        store.index.verify(IndexBuild(named(store, "none"), "two", 8), None)


def test_what_ragwheel_did_not_make_is_not_filled(store: Store) -> None:
    before = store.own(IDS, OLD)
    store.index.point(build := build_on(store), before)
    with pytest.raises(IndexRefusedError, match="ragwheel did not make it"):
        store.index.create(IndexBuild(before, "two", 8, build.physical))


def test_every_verb_may_come_again(store: Store) -> None:
    build = build_on(store)
    for _ in range(2):
        store.index.create(build)
        store.index.upsert(build, points(IDS, "two", NEW), gone=["never there"])
        store.index.verify(build, None)
        store.index.point(build, "")
    assert store.index.serving() == build.physical
    other = IndexBuild(named(store, "gone"), "two", 8)
    store.index.create(other)
    for _ in range(2):
        store.index.drop(other)


def test_each_search_during_the_switch_and_the_way_back_finds_what_one_build_has(
    store: Store,
) -> None:
    before = store.own(IDS, OLD)
    assert store.index.serving() == before
    build = build_on(store)
    assert store.index.upsert(build, points(IDS, "two", NEW)) == {}
    old = IndexBuild(before, "one", 0)
    in_old, in_new = (
        tuple(store.index.verify(each, SpaceVectors(each.fingerprint, NEW[3:4]), 3).hits[0])
        for each in (old, build)
    )
    assert in_old != in_new
    with SearchLoad(store.open_search, NEW[3]) as load:
        load.until(in_old)
        for _ in range(3):
            store.index.point(build, before)
            load.until(in_new)
            store.index.point(old, build.physical)
            load.until(in_old)
        store.index.point(build, before)
        load.until(in_new)
    assert load.failed == []
    assert set(load.found) == {in_old, in_new}
    assert store.index.serving() == build.physical


def test_what_the_service_stored_beside_its_vectors_goes_along(store: Store) -> None:
    before = store.own(IDS, OLD)
    build = build_on(store)
    store.index.upsert(build, points(IDS, "two", NEW))
    store.index.point(build, before)
    assert store.columns(build.physical) == {each: f"of {each}" for each in IDS}


def test_what_a_service_changes_after_the_switch_stays_changed(store: Store) -> None:
    before = store.own(IDS, OLD)
    build = build_on(store)
    store.index.upsert(build, points(IDS, "two", NEW))
    store.index.point(build, before)
    store.change(IDS[1], "changed")
    new = "chunk-new"
    refused = store.index.upsert(build, points([IDS[1], new], "two", NEW[:2]))
    assert list(refused) == [new]
    assert store.columns(build.physical)[IDS[1]] == "changed"
    store.index.upsert(IndexBuild(build.physical, "two", 8), points([IDS[1]], "two", NEW[1:2]))
    assert store.columns(build.physical)[IDS[1]] == "changed"


def test_a_second_switch_follows_the_first(store: Store) -> None:
    before = store.own(IDS, OLD)
    two = build_on(store)
    store.index.upsert(two, points(IDS, "two", NEW))
    store.index.point(two, before)
    three = IndexBuild(named(store, "three"), "three", 4, two.physical)
    store.index.create(three)
    narrow = unit(20, 4)
    assert store.index.upsert(three, points(IDS, "three", narrow)) == {}
    store.index.verify(three, None)
    store.index.point(three, two.physical)
    with store.open_search() as search:
        assert search(narrow[3])[0] == IDS[3]
    store.index.drop(IndexBuild(before, "one", 0))
    store.index.drop(two)
    assert store.columns(three.physical) == {each: f"of {each}" for each in IDS}
    with store.open_search() as search:
        assert search(narrow[3])[0] == IDS[3]


def test_what_is_searched_is_never_dropped_and_a_name_that_was_moved_is_left_alone(
    store: Store,
) -> None:
    before = store.own(IDS, OLD)
    build = build_on(store)
    with pytest.raises(IndexRefusedError, match="leads to"):
        store.index.point(build, named(store, "other"))
    store.index.point(build, before)
    with pytest.raises(IndexRefusedError, match="is searched"):
        store.index.drop(build)
    store.index.drop(IndexBuild(before, "one", 0))
    with pytest.raises(IndexRefusedError, match="reembed run"):
        store.index.verify(IndexBuild(before, "one", 0), None)


def test_the_old_build_can_be_searched_though_it_says_no_fingerprint(store: Store) -> None:
    before = store.own(IDS, OLD)
    old = IndexBuild(before, "one", 0)
    found = store.index.verify(old, SpaceVectors("one", OLD[:5]), depth=1)
    assert found.count == 20
    assert np.array_equal([hits[0] for hits in found.hits], IDS[:5])
