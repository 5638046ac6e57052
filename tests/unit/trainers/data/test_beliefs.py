"""Beliefs in grades: what they know, whom they trust, and what is asked again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from tests.rigs.trainer_world import NOON

from ragwheel.trainers.believing import logged_ranks
from ragwheel.trainers.data.beliefs import Beliefs, believe, checked_by, second_look
from ragwheel.trainers.data.grader_noise import Checked
from ragwheel.trainers.data.records import Corpus, Grade, LoggedRanking, SampledQuery

QUERIES, TOPICS, DEPTH = 300, 30, 10


@dataclass(frozen=True)
class Evidence:
    query_hash: str
    chunk_hash: str
    grade: int
    epoch: str = "r1"
    source: str = "llm"
    looks: int = 1
    agreement: float = 1.0


class Traffic:
    """Topics with one right chunk each, ten queries about every one, graded with errors."""

    def __init__(self, rate: float = 0.1, segment_rate: float | None = None) -> None:
        random = np.random.default_rng(1)
        topics = _unit(random.normal(size=(TOPICS, 24)))
        self.topic = np.arange(QUERIES) % TOPICS
        self.vectors = _unit(topics[self.topic] + 0.12 * random.normal(size=(QUERIES, 24)))
        self.documents = _unit(topics + 0.25 * random.normal(size=(TOPICS, 24)))
        self.corpus = Corpus(tuple(f"c{n:02d}" for n in range(TOPICS)), ("",) * TOPICS)
        best = np.argsort(-(self.vectors @ self.documents.T), axis=1)[:, :DEPTH]
        self.queries, self.evidence, self.checked, self.rank_of = [], [], [], {}
        for row in range(QUERIES):
            segment = "ab"[row % 2]
            wrong = segment_rate if segment_rate is not None and segment == "b" else rate
            name, shown = f"q{row:03d}", [f"c{at:02d}" for at in best[row]]
            self.queries.append(
                SampledQuery(name, name, name, segment, NOON, "all", 1.0, 1, tuple(shown), NOON)
            )
            for rank, chunk in enumerate(shown, start=1):
                flag = self.is_right(name, chunk) != (random.random() < wrong)
                self.evidence.append(Evidence(name, chunk, 3 * int(flag)))
                self.rank_of[name, chunk] = rank
            self.checked += [
                Checked(segment, "r1", False, bool(random.random() < wrong)) for _ in range(2)
            ]

    def is_right(self, query: str, chunk: str) -> bool:
        return bool(int(chunk[1:]) == self.topic[int(query[1:])])

    def believed(
        self, evidence: list[Evidence] | None = None, checked: list[Checked] | None = None
    ) -> Beliefs:
        return believe(
            self.evidence if evidence is None else evidence,
            self.checked if checked is None else checked,
            self.queries, self.vectors, self.corpus, self.documents, self.rank_of,
        )  # fmt: skip


def _unit(
    rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture(scope="module")
def beliefs(traffic: Traffic) -> Beliefs:
    return traffic.believed()


def test_true_flags_are_told_from_false_ones(traffic: Traffic, beliefs: Beliefs) -> None:
    flags = [each for each in beliefs.pairs if each.flagged]
    right = [traffic.is_right(each.query_hash, each.chunk_hash) for each in flags]
    kept = [true for true, each in zip(right, flags, strict=True) if each.belief >= 0.5]
    assert sum(right) / len(right) < 0.6
    assert sum(kept) / len(kept) > 0.9
    assert sum(kept) > 0.9 * sum(right)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.2])
def test_the_rate_of_wrong_flags_is_recovered_without_people(rate: float) -> None:
    report = Traffic(rate).believed().report
    assert [each.used for each in report.groups] == pytest.approx([rate, rate], abs=0.02)
    assert report.measured_by == "decoys"
    assert report.calibration_error < 0.03


def test_a_grader_that_is_wrong_about_one_segment_is_found_there() -> None:
    left, right = Traffic(0.03, segment_rate=0.3).believed().report.groups
    assert (left.segment, right.segment) == ("a", "b")
    assert left.used == pytest.approx(0.03, abs=0.02)
    assert right.used == pytest.approx(0.3, abs=0.03)
    assert right.true_flags / right.flags < left.true_flags / left.flags


def test_without_decoys_the_tail_of_the_ranking_is_asked(traffic: Traffic) -> None:
    report = traffic.believed(checked=[]).report
    assert report.measured_by == "tail"
    assert report.groups[0].used == pytest.approx(0.1, abs=0.03)


def test_what_a_person_says_stands_above_grader_and_neighbours(traffic: Traffic) -> None:
    evidence = [replace(each, grade=3 - each.grade, source="person") for each in traffic.evidence]
    told = traffic.believed([*evidence[:20], *traffic.evidence[20:]])
    assert [told.of(each.query_hash, each.chunk_hash) for each in evidence[:20]] == [
        each.grade / 3 for each in evidence[:20]
    ]


def test_a_pair_that_was_flagged_twice_is_believed_more(traffic: Traffic, beliefs: Beliefs) -> None:
    [again, *_] = second_look(beliefs, 1)
    twice, denied = (
        traffic.believed(
            [
                replace(each, looks=2, agreement=agreement)
                if (each.query_hash, each.chunk_hash) == again
                else each
                for each in traffic.evidence
            ]
        ).of(*again)
        for agreement in (1.0, 0.5)
    )
    assert denied < beliefs.of(*again) < twice


def test_a_second_look_goes_to_deep_doubtful_flags(traffic: Traffic, beliefs: Beliefs) -> None:
    chosen = second_look(beliefs, 15)
    by_pair = {(each.query_hash, each.chunk_hash): each for each in beliefs.pairs}
    assert len(chosen) == len(set(chosen)) == 15
    assert all(by_pair[each].flagged for each in chosen)
    assert all(0.05 <= by_pair[each].belief <= 0.5 for each in chosen)
    ranks = [by_pair[each].rank for each in chosen]
    assert sum(ranks) / len(ranks) > 3
    assert second_look(beliefs, 0) == ()


def test_citations_that_a_grade_contradicts_take_half_of_the_second_looks_at_most(
    beliefs: Beliefs,
) -> None:
    said = [each for each in beliefs.pairs if not each.flagged][:20]
    cited = {(each.query_hash, each.chunk_hash) for each in said}
    chosen = second_look(beliefs, 10, cited)
    assert len(chosen) == 10
    assert {*chosen[:5]} <= cited
    assert chosen[5:] == second_look(beliefs, 5)
    flagged = {(each.query_hash, each.chunk_hash) for each in beliefs.pairs if each.flagged}
    assert second_look(beliefs, 10, flagged) == second_look(beliefs, 10), "they agree"


def test_people_measure_the_grader(traffic: Traffic) -> None:
    first, second = traffic.queries[:2]

    def row(query: SampledQuery, chunk: str, grade: int, role: str, source: str) -> Grade:
        return Grade(query.query_hash, chunk, grade, role, "g", "r1", source, NOON)  # type: ignore[arg-type]

    grades = [
        row(first, "c01", 3, "label", "person"), row(first, "c01", 0, "label", "llm"),
        row(first, "c02", 3, "decoy", "llm"), row(second, "c03", 0, "label", "llm"),
        row(second, "c04", 2, "label", "synthetic"), row(second, "c04", 2, "label", "llm"),
        row(second, "c05", 0, "judge", "llm"),
    ]  # fmt: skip
    assert checked_by(grades, traffic.queries) == (
        Checked("a", "r1", relevant=True, flagged=False),
        Checked("a", "r1", relevant=False, flagged=True),
        Checked("b", "r1", relevant=True, flagged=True),
    )


def test_the_rank_in_the_replaced_stage_counts_and_else_that_of_any() -> None:
    def stage(name: str, *chunks: str) -> LoggedRanking:
        scores = (0.0,) * len(chunks)
        return LoggedRanking("q", "a", name, "", "", "", chunks, scores, NOON)

    ranks = logged_ranks([stage("dense", "c1", "c2", "c3"), stage("rerank", "c3", "c1", "c4")])
    assert ranks == {("q", "c1"): 1, ("q", "c2"): 2, ("q", "c3"): 3, ("q", "c4"): 3}


def test_pairs_outside_the_corpus_and_of_unknown_queries_are_left_out(traffic: Traffic) -> None:
    strange = [Evidence("q000", "gone", 3), Evidence("nobody", "c01", 3)]
    told = traffic.believed([*strange, *traffic.evidence])
    assert len(told.pairs) == len(traffic.evidence)
    assert told.of("q000", "gone") == 0
    assert traffic.believed(strange).pairs == ()


def test_the_order_of_the_rows_changes_nothing(traffic: Traffic, beliefs: Beliefs) -> None:
    shuffled = traffic.believed([*reversed(traffic.evidence)])
    for each in beliefs.pairs[::97]:
        assert shuffled.of(each.query_hash, each.chunk_hash) == pytest.approx(each.belief, abs=1e-6)


def test_a_few_grades_are_enough_to_have_an_opinion_of(traffic: Traffic) -> None:
    told = traffic.believed(traffic.evidence[:3], checked=[])
    assert len(told.pairs) == 3
    assert all(0 <= each.belief <= 1 for each in told.pairs)
