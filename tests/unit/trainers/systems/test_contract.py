"""Every system keeps the contract: its own index, best first, ties by row, -1 for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from tests.rigs.trainer_world import NOON

from ragwheel.models.encoder import Vectors
from ragwheel.trainers.data.records import Corpus, IndexSlice, LoggedRanking
from ragwheel.trainers.systems.contracts import NO_RESULT, Asked, Retriever
from ragwheel.trainers.systems.dense import EncoderSystem
from ragwheel.trainers.systems.lexical import LexicalSystem
from ragwheel.trainers.systems.observed import ObservedSystem

ANIMALS = ("cat", "cat dog", "dog", "dog", "dog horse cow")
#: Two indexes hold the same texts; what differs is whose they are.
CORPUS = Corpus(
    tuple(f"{index}{number}" for index in "ab" for number in range(len(ANIMALS))),
    (*ANIMALS, *ANIMALS),
    indexes=(
        IndexSlice("a", "1", 0, 5),
        IndexSlice("b", "1", 5, 10),
        IndexSlice("empty", "1", 10, 10),
    ),
    index_of_segment={"left": "a", "right": "b", "nothing there": "empty"},
)
VOCABULARY = ("cat", "dog", "horse", "cow")


def vectors(texts: Sequence[str]) -> Vectors:
    """A bag of words of unit length."""
    counted = np.zeros((len(texts), len(VOCABULARY)))
    for row, text in enumerate(texts):
        counted[row] = [text.split().count(word) for word in VOCABULARY]
    return np.asarray(counted / np.linalg.norm(counted, axis=1, keepdims=True), np.float32)


def asked(query: str, segment: str) -> Asked:
    return Asked(f"{query} in {segment}", query, segment)


QUERIES = [
    asked("dog", "left"), asked("dog", "right"), asked("cat", "left"), asked("horse cow", "right"),
    asked("dog", "nothing there"), asked("dog", "unheard of"),
]  # fmt: skip


def logged(query: Asked, numbers: Sequence[int]) -> LoggedRanking:
    index = CORPUS.index_of_segment.get(query.segment, "")
    return LoggedRanking(
        query.query_hash, query.segment, "dense", index, "1", "",
        tuple(f"{index}{number}" for number in numbers), tuple(1.0 for _ in numbers), NOON,
    )  # fmt: skip


def observed() -> ObservedSystem:
    return ObservedSystem(
        "dense",
        [
            logged(QUERIES[0], (2, 3, 1, 4)), logged(QUERIES[1], (2, 3, 1, 4)),
            logged(QUERIES[2], (0, 1)), logged(QUERIES[3], (4,)),
        ],
        CORPUS,
    )  # fmt: skip


SYSTEMS: dict[str, Callable[[], Retriever]] = {
    "encoder": lambda: EncoderSystem("base", vectors, vectors(CORPUS.texts), CORPUS),
    "lexical": lambda: LexicalSystem(CORPUS),
    "observed": observed,
}


@pytest.fixture(params=sorted(SYSTEMS))
def system(request: pytest.FixtureRequest) -> Retriever:
    return SYSTEMS[request.param]()


def test_the_best_chunks_come_first_and_equal_ones_in_corpus_order(system: Retriever) -> None:
    found = system.rank(QUERIES, 2)
    assert found.rows[:3].tolist() == [[2, 3], [7, 8], [0, 1]]
    assert found.rows[3, 0] == 9


def test_a_query_is_ranked_over_its_own_index_only(system: Retriever) -> None:
    found = system.rank(QUERIES, 10)
    for query, rows in zip(QUERIES, found.rows, strict=True):
        span = CORPUS.slice_of(query.segment)
        results = rows[rows != NO_RESULT]
        assert span is not None or not len(results)
        assert all(span.start <= row < span.stop for row in results)  # type: ignore[union-attr]


def test_results_stand_without_gaps_and_scores_never_rise(system: Retriever) -> None:
    found = system.rank(QUERIES, 10)
    assert found.rows.shape == found.scores.shape == (len(QUERIES), 10)
    assert (found.rows.dtype.name, found.scores.dtype.name) == ("int64", "float32")
    for rows, scores in zip(found.rows, found.scores, strict=True):
        count = int((rows != NO_RESULT).sum())
        assert (rows[count:] == NO_RESULT).all()
        assert (scores[count:] == -np.inf).all()
        assert (np.diff(scores[:count]) <= 0).all()
        assert len(set(rows[:count].tolist())) == count


def test_equal_arguments_make_an_equal_ranking_and_queries_do_not_disturb_each_other(
    system: Retriever,
) -> None:
    found, again = system.rank(QUERIES, 3), system.rank(QUERIES, 3)
    backwards = system.rank(QUERIES[::-1], 3)
    assert (found.rows == again.rows).all()
    assert (found.rows == backwards.rows[::-1]).all()


def test_no_queries_have_no_ranking(system: Retriever) -> None:
    assert system.rank([], 3).rows.shape == (0, 3)


def test_it_has_a_name_and_a_kind(system: Retriever) -> None:
    assert system.name
    assert system.kind in ("encoder", "lexical", "observed")
