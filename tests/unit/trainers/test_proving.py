"""A gate between systems whose documents have different vectors: beliefs favour neither."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import pytest
from tests.rigs.belief_world import (
    BOTH,
    DEPTH,
    JUDGE,
    BeliefWorld,
    Grader,
    decoys,
    judged,
    make_belief_world,
    measured_gain,
)

from ragwheel.models.encoder import TextEncoder, Vectors
from ragwheel.trainers.contest import Contest, compare
from ragwheel.trainers.data.beliefs import Beliefs
from ragwheel.trainers.data.records import Grade
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.evaluation import GateQueries
from ragwheel.trainers.proof.judging import Judged
from ragwheel.trainers.proving import _believed
from ragwheel.trainers.systems.dense import EncoderSystem
from ragwheel.trainers.systems.lineup import Lineup
from ragwheel.trainers.systems.observed import ObservedSystem

GRADER = Grader(wrong=0.1, found=0.9)
TRIALS, QUERIES = 4, 80


@dataclass
class Store:
    """Only the judge's decoys are read of it."""

    said: list[Grade]

    def decoys(self) -> list[Grade]:
        return self.said


def system(of: BeliefWorld, name: str, *, foreign: bool) -> EncoderSystem:
    """A system that ranks as the world says; foreign: by vectors of its own, also in length."""
    vectors, documents = of.vectors[name], of.documents
    if foreign:
        # Padded and turned: every cosine within the space stays, no vector compares with others.
        width = vectors.shape[1] + 8
        turn = np.linalg.qr(np.random.default_rng(7).standard_normal((width, width)))[0]
        vectors, documents = (
            np.asarray(np.pad(each, ((0, 0), (0, 8))) @ turn, np.float32)
            for each in (vectors, documents)
        )

    def encode(texts: object) -> Vectors:
        return vectors[[int(text[1:]) for text in cast(list[str], texts)]]

    return EncoderSystem(name, encode, documents, of.corpus)


@cache
def gate(trial: int, foreign: tuple[str, ...]) -> tuple[BeliefWorld, Contest, Judged, Beliefs]:
    """A judged contest of two equal systems, and what is believed of its judge."""
    of = make_belief_world(np.random.default_rng([trial, 1]), queries=QUERIES)
    systems = {name: system(of, name, foreign=name in foreign) for name in BOTH}
    contest = compare(of.queries, of.corpus, systems, DEPTH)
    rng = np.random.default_rng([trial, 2])
    said = judged(of, rng, GRADER, contest.pools())
    lineup = Lineup(
        cast(TextEncoder, None), of.documents, systems["incumbent"], None,
        ObservedSystem("", (), of.corpus), {}, {},
    )  # fmt: skip
    parts = cast(Parts, type("World", (), {"store": Store(decoys(of, rng, GRADER, JUDGE))})())
    return of, contest, said, _believed(parts, lineup, contest, said)


def test_equal_systems_over_unlike_documents_are_seen_as_equal() -> None:
    errors = []
    for trial in range(TRIALS):
        of, contest, said, beliefs = gate(trial, ("incumbent",))
        pairs = contest.judged_pairs(said, beliefs)
        measured = contest.measure(pairs, GateQueries.of(["all"] * len(of.queries)), set())
        errors.append(measured_gain(measured) - of.true_gain())
    # By the vectors of the one that has comparable ones, its rival is 5 points behind or more
    # (tests/unit/trainers/test_believing.py).
    assert abs(np.mean(errors)) < 3 * np.std(errors) / TRIALS**0.5 + 0.01


def test_it_does_not_matter_which_of_the_two_has_documents_of_its_own() -> None:
    by_incumbent, by_candidate, by_both = (
        gate(0, foreign)[-1] for foreign in (("incumbent",), ("candidate",), BOTH)
    )
    pairs = {(each.query_hash, each.chunk_hash) for each in by_both.pairs}
    for pair in pairs:
        assert by_incumbent.of(*pair) == pytest.approx(by_both.of(*pair), abs=1e-4)
        assert by_candidate.of(*pair) == pytest.approx(by_both.of(*pair), abs=1e-4)


def test_over_the_same_documents_the_vectors_of_both_queries_are_asked() -> None:
    _, _, _, alike = gate(0, ())
    _, _, _, unlike = gate(0, ("incumbent",))
    assert max(abs(a.belief - b.belief) for a, b in zip(alike.pairs, unlike.pairs, strict=True)) > (
        0.1
    )
