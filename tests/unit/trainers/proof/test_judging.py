"""Jobs for the judge, and waiting for its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from tests.unit.trainers.data.test_examples import query

from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import GradingJob
from ragwheel.trainers.data.records import Corpus, Judgment
from ragwheel.trainers.proof.judging import PublishingJudge, judge_jobs, second_jobs

NOW = datetime(2026, 7, 28, 12, tzinfo=UTC)
CHUNKS = tuple(f"{number:032x}" for number in range(500))
CORPUS = Corpus(CHUNKS, tuple(f"text {number}" for number in range(500)))
QUESTION = query("what is it")


@dataclass
class LabelTable:
    """Shows one more batch of labels at each look; an exception stands for an outage."""

    looks: list[list[Judgment] | Exception]
    seen: list[Judgment] = field(default_factory=list)

    def judgments(self, query_hashes: Sequence[str]) -> list[Judgment]:
        look = self.looks.pop(0) if self.looks else []
        if isinstance(look, Exception):
            raise look
        self.seen += look
        return [each for each in self.seen if each.query_hash in query_hashes]


def judgment(
    chunk: int,
    grade: int | None = 3,
    grader: str = "judge@1",
    *,
    rubric: str = "r1",
    days_ago: float = 0,
) -> Judgment:
    status = "failed" if grade is None else "graded"
    at = NOW - timedelta(days=days_ago)
    return Judgment(QUESTION.query_hash, CHUNKS[chunk], status, grade, grader, rubric, at)


@pytest.fixture(autouse=True)
def fast_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragwheel.trainers.proof.judging._POLL_S", 0.01)


def judge(
    table: LabelTable, *, timeout_s: float = 30, stop: Event | None = None
) -> PublishingJudge:
    return PublishingJudge(
        lambda jobs: None, table, timeout_s=timeout_s, stop=stop or Event(),  # type: ignore[arg-type]
        now=lambda: NOW,
    )  # fmt: skip


JOBS = judge_jobs("model", [QUESTION], [[0, 1, 2]], CORPUS)


def test_a_job_asks_for_the_pool_in_the_role_of_a_judge() -> None:
    [job] = JOBS
    assert (job.role, job.query, job.inclusion_probability) == ("judge", "what is it", 1.0)
    assert [each.chunk_hash for each in job.candidates] == list(CHUNKS[:3])
    assert GradingJob.model_validate_json(job.model_dump_json()) == job


def test_doubtful_pairs_are_asked_again_by_query_in_a_role_of_their_own() -> None:
    other = query("what else")
    pairs = [
        (other.query_hash, CHUNKS[7]), (QUESTION.query_hash, CHUNKS[2]),
        (QUESTION.query_hash, CHUNKS[1]),
    ]  # fmt: skip
    jobs = second_jobs("snapshot", pairs, [QUESTION, other], CORPUS)
    asked = {(job.query_hash, each.chunk_hash) for job in jobs for each in job.candidates}
    assert asked == set(pairs)
    assert len(jobs) == 2
    assert {job.role for job in jobs} == {"second"}
    assert jobs == second_jobs("snapshot", pairs[::-1], [other, QUESTION], CORPUS)
    later = second_jobs("another snapshot", pairs, [QUESTION, other], CORPUS)
    assert {job.job_id for job in jobs}.isdisjoint({job.job_id for job in later})


def test_job_ids_are_the_same_on_a_repeat_and_differ_between_models() -> None:
    assert judge_jobs("model", [QUESTION], [[0, 1, 2]], CORPUS) == JOBS
    assert judge_jobs("other", [QUESTION], [[0, 1, 2]], CORPUS)[0].job_id != JOBS[0].job_id


def test_a_large_pool_is_asked_in_several_jobs() -> None:
    jobs = judge_jobs("model", [QUESTION], [list(range(450))], CORPUS)
    assert [len(job.candidates) for job in jobs] == [200, 200, 50]
    assert len({job.job_id for job in jobs}) == 3


def test_it_waits_until_every_pair_is_decided_and_reports_progress() -> None:
    seen: list[tuple[int, int]] = []
    table = LabelTable([[], [judgment(0)], [judgment(1, None), judgment(2, 0)]])
    judged = judge(table)(JOBS, lambda *at: seen.append(at))
    assert judged.grader_id == "judge@1"
    assert sorted((each.chunk_hash, each.grade) for each in judged.judgments) == [
        (CHUNKS[0], 3), (CHUNKS[1], None), (CHUNKS[2], 0),
    ]  # fmt: skip
    assert seen == [(0, 3), (1, 3), (3, 3)]


def test_pairs_outside_the_jobs_do_not_count() -> None:
    table = LabelTable([[judgment(77), judgment(78), judgment(79)]])
    assert judge(table, timeout_s=0.05)(JOBS, lambda *_: None).judgments == ()


def test_after_the_deadline_what_is_there_is_returned() -> None:
    judged = judge(LabelTable([[judgment(0)]]), timeout_s=0.05)(JOBS, lambda *_: None)
    assert len(judged.judgments) == 1


def test_an_outage_of_the_store_is_waited_out() -> None:
    whole = [judgment(0), judgment(1), judgment(2)]
    table = LabelTable([UnavailableError("gone"), UnavailableError("gone"), whole])
    assert len(judge(table)(JOBS, lambda *_: None).judgments) == 3


def test_grades_of_two_judges_are_never_mixed() -> None:
    table = LabelTable([[judgment(0, 3, "old"), judgment(0, 0), judgment(1), judgment(2)]])
    judged = judge(table)(JOBS, lambda *_: None)
    assert judged.grader_id == "judge@1"
    assert {each.grader_id for each in judged.judgments} == {"judge@1"}


def test_yesterdays_failures_decide_nothing_and_yesterdays_grades_do() -> None:
    old = [judgment(0, days_ago=1), judgment(1, None, days_ago=1), judgment(2, None, days_ago=1)]
    table = LabelTable([old, [], [judgment(1), judgment(2, None)]])
    judged = judge(table)(JOBS, lambda *_: None)
    assert sorted((each.chunk_hash, each.grade) for each in judged.judgments) == [
        (CHUNKS[0], 3), (CHUNKS[1], 3), (CHUNKS[2], None),
    ]  # fmt: skip


def test_only_the_newest_rubric_counts_in_whatever_order_rows_come() -> None:
    old = [judgment(0, 3, rubric="r1", days_ago=1), judgment(1, 3, rubric="r1", days_ago=1)]
    new = [judgment(each, 0, rubric="r2") for each in range(3)]
    for looks in ([old, new[:1], new[1:]], [[*new, *old]], [[*old, *new]]):
        judged = judge(LabelTable(list(looks)))(JOBS, lambda *_: None)
        assert [each.grade for each in judged.judgments] == [0, 0, 0]


def test_decided_queries_are_not_read_again_until_the_end() -> None:
    other = query("what else")
    jobs = judge_jobs("model", [QUESTION, other], [[0], [1]], CORPUS)
    late = replace(judgment(1), query_hash=other.query_hash)
    asked: list[int] = []

    class Counted(LabelTable):
        def judgments(self, query_hashes: Sequence[str]) -> list[Judgment]:
            asked.append(len(query_hashes))
            return super().judgments(query_hashes)

    judge(Counted([[judgment(0)], [], [], [late]]))(jobs, lambda *_: None)
    assert asked == [2, 1, 1, 1, 2]


def test_a_stop_ends_the_wait() -> None:
    stop = Event()
    stop.set()
    judged = judge(LabelTable([[judgment(0)]]), timeout_s=600, stop=stop)(JOBS, lambda *_: None)
    assert len(judged.judgments) == 1
