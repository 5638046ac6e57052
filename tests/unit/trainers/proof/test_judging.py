"""Jobs for the judge, and waiting for its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event

import pytest
from tests.unit.trainers.data.test_examples import query

from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import GradingJob
from ragwheel.trainers.data.records import Corpus, Judgment
from ragwheel.trainers.proof.judging import PublishingJudge, judge_jobs

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


def judgment(chunk: int, grade: int | None = 3, grader: str = "judge@1") -> Judgment:
    status = "failed" if grade is None else "graded"
    return Judgment(QUESTION.query_hash, CHUNKS[chunk], status, grade, grader)


@pytest.fixture(autouse=True)
def fast_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragwheel.trainers.proof.judging._POLL_S", 0.01)


def judge(
    table: LabelTable, *, timeout_s: float = 30, stop: Event | None = None
) -> PublishingJudge:
    return PublishingJudge(
        lambda jobs: None, table, timeout_s=timeout_s, stop=stop or Event()  # type: ignore[arg-type]
    )  # fmt: skip


JOBS = judge_jobs("model", [QUESTION], [[0, 1, 2]], CORPUS)


def test_a_job_asks_for_the_pool_in_the_role_of_a_judge() -> None:
    [job] = JOBS
    assert (job.role, job.query, job.inclusion_probability) == ("judge", "what is it", 1.0)
    assert [each.chunk_hash for each in job.candidates] == list(CHUNKS[:3])
    assert GradingJob.model_validate_json(job.model_dump_json()) == job


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


def test_a_stop_ends_the_wait() -> None:
    stop = Event()
    stop.set()
    judged = judge(LabelTable([[judgment(0)]]), timeout_s=600, stop=stop)(JOBS, lambda *_: None)
    assert len(judged.judgments) == 1
