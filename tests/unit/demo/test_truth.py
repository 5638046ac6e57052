"""The search service ranks exactly, and the truth is computed as defined."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.demo.demo_results import shift

from ragwheel.demo.search import IndexedChunk, SearchService
from ragwheel.demo.searches import CorpusQuestion
from ragwheel.demo.truth import compare, rank_shifts, ranks_of

CHUNKS = [IndexedChunk(f"{name}.part:f", f"{n:032x}") for n, name in enumerate("abcd")]
VECTORS = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], dtype=np.float32)
QUERY = np.array([1, 0], dtype=np.float32)


def test_results_are_the_nearest_in_order_with_their_scores() -> None:
    found = SearchService(CHUNKS, VECTORS).search(QUERY, 2)

    assert [chunk.package for chunk in found.chunks] == ["a", "b"]
    assert found.scores == pytest.approx((1.0, 0.8))
    assert found.latency_ms > 0
    assert found.rank_of("b.part:f") == 2
    assert found.rank_of("c.part:f") is None


def test_asking_for_more_than_there_is_returns_everything() -> None:
    assert len(SearchService(CHUNKS, VECTORS).search(QUERY, 20).chunks) == 4


def test_a_filter_keeps_its_package_and_may_leave_nothing() -> None:
    service = SearchService(CHUNKS, VECTORS)

    assert [c.package for c in service.search(QUERY, 20, package="c").chunks] == ["c"]
    assert service.search(QUERY, 20, package="numpy").chunks == ()


def test_vectors_and_chunks_must_belong_together() -> None:
    with pytest.raises(ValueError, match="3 chunks, but 4 vectors"):
        SearchService(CHUNKS[:3], VECTORS)


def test_ranks_count_what_is_at_least_as_near() -> None:
    queries = np.array([[1, 0], [0, 1]], dtype=np.float32)

    ranks = ranks_of(queries, VECTORS, np.array([1, 2]))

    assert ranks.tolist() == [2, 1]


def test_a_tie_counts_against_the_answer() -> None:
    twice = np.array([[1, 0], [1, 0]], dtype=np.float32)

    assert ranks_of(QUERY[None, :], twice, np.array([0])).tolist() == [2]


def test_figures_are_means_over_questions_and_segments() -> None:
    shifts = [
        shift("q1", "c1", "text", before=20, after=5),
        shift("q2", "c2", "text", before=1, after=1),
        shift("q3", "c3", "files", before=2, after=11),
        shift("q4", "c4", "files", before=50, after=10),
    ]
    rows = {row.key: row for row in compare(shifts, seed=1)}

    assert rows["recall", 10, "*"].before.value == 0.5
    assert rows["recall", 10, "*"].after.value == 0.75
    assert rows["recall", 10, "*"].relative == pytest.approx(0.5)
    assert rows["recall", 5, "text"].delta.value == 0.5
    assert rows["mrr", 10, "files"].before.value == pytest.approx((1 / 2 + 0) / 2)
    assert rows["recall", 1, "files"].queries == 2


def test_intervals_cover_the_value_and_shrink_with_more_questions() -> None:
    few = [shift(f"q{n}", "c", "text", 1 + n % 20, 1 + n % 9) for n in range(40)]
    row_few = compare(few, seed=1)[2]
    row_many = compare(few * 16, seed=1)[2]

    for row in (row_few, row_many):
        for interval in (row.before, row.after, row.delta):
            assert interval.low <= interval.value <= interval.high
    width_few = row_few.delta.high - row_few.delta.low
    width_many = row_many.delta.high - row_many.delta.low
    assert 3 < width_few / width_many < 5, "16 times the questions, a quarter of the width"


def test_a_shift_names_the_answer_by_its_hash() -> None:
    question = CorpusQuestion("where is c?", "text", "c.part:f")

    (found,) = rank_shifts([question], QUERY[None, :], VECTORS[2:3], VECTORS, CHUNKS)

    assert (found.query, found.segment, found.chunk_hash) == ("where is c?", "text", f"{2:032x}")
    assert (found.before, found.after) == (3, 1)
