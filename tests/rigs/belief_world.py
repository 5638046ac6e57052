"""Gates and dev lists by simulation with a judge who errs, where beliefs are made as in production.

Chunks and queries are unit vectors. A query stands near its topic, whose chunks answer it; each
system sees it through an error of its own and one that both share. A candidate with a smaller error
of its own is truly better; with an equal one the two systems may change places.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from ragwheel.models.encoder import Vectors
from ragwheel.schemas.events import Role
from ragwheel.trainers.believing import Setting, between, judgments_believed, labels_believed
from ragwheel.trainers.data.evidence import evidence
from ragwheel.trainers.data.examples import TrainingExample, build_examples
from ragwheel.trainers.data.records import Corpus, Grade, Judgment, LoggedRanking, SampledQuery
from ragwheel.trainers.lanes.restraint import graded_order
from ragwheel.trainers.proof.evaluation import (
    RECALL_AT_10,
    GateQueries,
    JudgedPair,
    Measurement,
    pool,
    score,
)
from ragwheel.trainers.proof.judging import Judged
from ragwheel.trainers.systems.contracts import Ranking

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
JUDGE, LABELER = "judge@1", "labeler@1"
DIMENSION, DEPTH, DECOYS = 32, 20, 2
BOTH = ("incumbent", "candidate")
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Grader:
    """What it calls relevant: the share `wrong` of what is not, the share `found` of what is."""

    wrong: float = 0.1
    found: float = 0.9

    def says(self, rng: np.random.Generator, relevant: Flags) -> Flags:
        """Flags of pairs."""
        return np.asarray(rng.random(relevant.shape) < np.where(relevant, self.found, self.wrong))


@dataclass(frozen=True)
class BeliefWorld:
    """Queries over one corpus, as both systems see them.

    Attributes:
        relevant: shape (queries, chunks), the truth.
        vectors: of the queries by each system, in the space of `documents`.
        rows: first results by each system.
    """

    queries: list[SampledQuery]
    corpus: Corpus
    documents: Vectors
    relevant: Flags
    vectors: dict[str, Vectors]
    rows: dict[str, NDArray[np.int64]]

    def setting(self, vectors: Vectors) -> Setting:
        """Queries and corpus in the space of the documents."""
        return Setting(self.queries, vectors, self.corpus, self.documents)

    def rankings(self) -> list[Ranking]:
        """What both systems return; no statistic looks at the scores."""
        return [Ranking(self.rows[name], np.zeros((0, 0), np.float32)) for name in BOTH]

    def true_gain(self) -> float:
        """What the candidate gains in recall@10 on these queries, by the truth."""
        hits = [
            np.take_along_axis(self.relevant, self.rows[name][:, :10], axis=1).sum(axis=1)
            for name in BOTH
        ]
        return float(np.mean((hits[1] - hits[0]) / self.relevant.sum(axis=1)))


def make_belief_world(
    rng: np.random.Generator,
    *,
    queries: int = 250,
    topics: int = 60,
    answers: int = 1,
    others: int = 300,
    error: float = 2.0,
    shared: float = 0.5,
    better: float = 0.0,
) -> BeliefWorld:
    """A world whose candidate has `better` less of the incumbent's own error, as a share.

    Args:
        topics: what queries are about; fewer than queries, hence answers repeat.
        answers: chunks of each topic.
        others: chunks that answer nothing.
        shared: how much of the variance of the error both systems have in common.
    """
    middles = _unit(rng.standard_normal((topics, DIMENSION)))
    near = 0.5 * rng.standard_normal((topics, answers, DIMENSION)) / DIMENSION**0.5
    right = _unit((middles[:, None] + near).reshape(-1, DIMENSION))
    documents = np.concatenate([right, _unit(rng.standard_normal((others, DIMENSION)))])
    # A wrong order of chunks would tell beliefs where the right ones are.
    order = rng.permutation(len(documents))
    topic_of = np.concatenate([np.repeat(np.arange(topics), answers), np.full(others, -1)])[order]
    about = rng.integers(0, topics, queries)
    common, own, other = rng.standard_normal((3, queries, DIMENSION)) / DIMENSION**0.5
    scale, rest = error * shared**0.5, error * (1 - shared) ** 0.5
    seen = {
        "incumbent": _unit(middles[about] + scale * common + rest * own),
        "candidate": _unit(middles[about] + scale * common + (1 - better) * rest * other),
    }
    documents = documents[order]
    rows = {
        name: np.argsort(-(each @ documents.T), axis=1, kind="stable")[:, :DEPTH]
        for name, each in seen.items()
    }
    hashes = tuple(f"c{number:05d}" for number in range(len(documents)))
    return BeliefWorld(
        [_query(f"q{at:05d}", hashes, shown) for at, shown in enumerate(rows["incumbent"])],
        Corpus(hashes, ("",) * len(hashes)), documents, about[:, None] == topic_of, seen, rows,
    )  # fmt: skip


def judged(
    world: BeliefWorld, rng: np.random.Generator, grader: Grader, pools: list[list[int]]
) -> Judged:
    """What the judge says of the pooled rows of each query."""
    flags = [grader.says(rng, world.relevant[at, rows]) for at, rows in enumerate(pools)]
    return Judged(
        JUDGE,
        tuple(
            Judgment(query.query_hash, world.corpus.chunk_hashes[row], "graded", 3 * flag, JUDGE)
            for query, rows, of in zip(world.queries, pools, flags, strict=True)
            for row, flag in zip(rows, of.tolist(), strict=True)
        ),
    )


def judge_gate(
    world: BeliefWorld,
    rng: np.random.Generator,
    grader: Grader,
    *,
    believing: bool = True,
    vectors: Vectors | None = None,
) -> Measurement:
    """What the gate measures when such a judge sees everything that either system shows.

    Args:
        believing: whether its flags are believed as `believing` says, or taken at their word.
        vectors: of the queries, where not the middle between both systems is asked.
    """
    said = judged(world, rng, grader, pool([world.rows[name] for name in BOTH], DEPTH))
    of: dict[tuple[str, str], float] = {}
    if believing:
        middle = between(*world.vectors.values()) if vectors is None else vectors
        beliefs = judgments_believed(
            world.setting(middle), said, decoys(world, rng, grader, JUDGE), world.rankings()
        )
        of = {(each.query_hash, each.chunk_hash): each.belief for each in beliefs.pairs}
    pairs: list[dict[int, JudgedPair]] = [{} for _ in world.queries]
    for each in said.judgments:
        grade = each.grade or 0
        believed = of.get((each.query_hash, each.chunk_hash), float(grade >= 2))
        pairs[int(each.query_hash[1:])][int(each.chunk_hash[1:])] = JudgedPair(grade, believed)
    return score(world.rows, pairs, GateQueries.of(["all"] * len(world.queries)))


def dev_gain(
    world: BeliefWorld, rng: np.random.Generator, grader: Grader, *, believing: bool = False
) -> float:
    """The change of nDCG over graded chunks by which a lane chooses (`lanes.restraint`).

    Args:
        believing: whether grades are weighed with beliefs by the incumbent's ranking, as training
            weighs them, and not taken at their word, as dev examples are.
    """
    shown = world.rows["incumbent"]
    flags = grader.says(rng, np.take_along_axis(world.relevant, shown, axis=1))
    named = [
        (query.query_hash, [world.corpus.chunk_hashes[row] for row in rows])
        for query, rows in zip(world.queries, shown.tolist(), strict=True)
    ]
    grades = [
        _grade(name, chunk, flag, "label", LABELER)
        for (name, chunks), of in zip(named, flags.tolist(), strict=True)
        for chunk, flag in zip(chunks, of, strict=True)
    ]
    if not believing:
        believed = {(each.query_hash, each.chunk_hash): each.grade / 3 for each in grades}
    else:
        logged = [
            LoggedRanking(name, "all", "dense", "", "", "", tuple(chunks), (), NOON)
            for name, chunks in named
        ]
        beliefs = labels_believed(
            world.setting(world.vectors["incumbent"]),
            [*grades, *decoys(world, rng, grader, LABELER)],
            logged,
        )
        believed = {(each.query_hash, each.chunk_hash): each.belief for each in beliefs.pairs}
    examples, _ = build_examples(
        world.queries, evidence(grades), lambda *pair: believed[pair], world.corpus
    )
    useful = [each for each in examples if each.positives and each.negatives]
    return float(np.mean([_dev_change(each, world) for each in useful]))


def _dev_change(example: TrainingExample, world: BeliefWorld) -> float:
    before, after = (
        graded_order(
            example, world.vectors[name][int(example.query_hash[1:])], world.corpus, world.documents
        )
        for name in BOTH
    )  # fmt: skip
    return after - before


def measured_gain(found: Measurement) -> float:
    """The change of pooled recall@10 that a gate sees."""
    change = (found.values["candidate"] - found.values["incumbent"])[:, RECALL_AT_10]
    return float(np.average(change, weights=found.queries.weights))


def decoys(world: BeliefWorld, rng: np.random.Generator, grader: Grader, who: str) -> list[Grade]:
    """What a grader says of random chunks."""
    drawn = rng.integers(0, len(world.documents), (len(world.queries), DECOYS))
    flags = grader.says(rng, np.take_along_axis(world.relevant, drawn, axis=1))
    return [
        _grade(query.query_hash, world.corpus.chunk_hashes[row], flag, "decoy", who)
        for query, rows, of in zip(world.queries, drawn.tolist(), flags.tolist(), strict=True)
        for row, flag in zip(rows, of, strict=True)
    ]


def _grade(query_hash: str, chunk_hash: str, flag: bool, role: Role, who: str) -> Grade:
    return Grade(query_hash, chunk_hash, 3 * flag, role, who, "", "llm", NOON)


def _query(name: str, hashes: tuple[str, ...], shown: NDArray[np.int64]) -> SampledQuery:
    chunks = tuple(sorted(hashes[row] for row in shown.tolist()))
    return SampledQuery(name, name, name, "all", NOON, "all", 1.0, 1, chunks, NOON)


def _unit(rows: NDArray[np.float64]) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)
