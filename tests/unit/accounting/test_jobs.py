"""Jobs without labels are found while labels keep coming, and labels on their way are no loss."""

from __future__ import annotations

import random

from ragwheel.accounting.jobs import JobsAccount
from ragwheel.schemas.topics import Partition

L0, L1, DEAD = Partition("labels", 0), Partition("labels", 1), Partition("deadletters", 0)


def test_a_round_is_ripe_once_everything_written_before_it_has_landed() -> None:
    jobs = JobsAccount(origin="o")
    jobs.begin({0: 5}, {L0: 90, L1: 10, DEAD: 1})
    assert jobs.due({L0: 89, L1: 10, DEAD: 1}, {0: 5}) is None
    assert jobs.due({L0: 95, L1: 10, DEAD: 0}, {0: 5}) is None
    assert jobs.due({L0: 95, L1: 10, DEAD: 1}, {0: 4}) is None  # the job itself has not landed
    assert jobs.due({L0: 95, L1: 10, DEAD: 1}, {0: 5}) == {0: (0, 5)}


def test_what_was_looked_at_is_not_looked_at_again() -> None:
    jobs = JobsAccount(origin="o")
    jobs.begin({0: 5, 1: 2}, {L0: 0})
    jobs.close([(1, 0)])
    jobs.begin({0: 5, 1: 2}, {L0: 0})
    assert jobs.round is None
    jobs.begin({0: 7, 1: 2}, {L0: 40})
    assert jobs.due({L0: 40}, {0: 7, 1: 2}) == {0: (5, 7)}
    jobs.close([])
    assert jobs.open == [(1, 0)]


def test_a_round_that_waits_is_not_moved_by_what_comes_later() -> None:
    jobs = JobsAccount(origin="o")
    jobs.begin({0: 5}, {L0: 90})
    jobs.begin({0: 50}, {L0: 900})
    assert jobs.due({L0: 90}, {0: 50}) == {0: (0, 5)}


def test_under_continuous_traffic_each_lost_job_is_found_and_no_other() -> None:
    """A grader that always runs ahead of intake, and now and then drops a job."""
    dice = random.Random(7)
    jobs = JobsAccount(origin="o")
    acknowledged, written, landed = 0, 0, 0
    label_at: dict[int, int] = {}  # job → offset of its label
    found: set[int] = set()
    for _ in range(2_000):
        for _ in range(dice.randrange(4)):
            if dice.random() > 0.02:
                label_at[acknowledged] = written
                written += 1
            acknowledged += 1
        landed = max(landed, written - dice.randrange(1, 5))  # labels are never all in
        due = jobs.due({L0: landed}, {0: acknowledged})
        if due is not None:
            start, until = due.get(0, (0, 0))
            missing = [j for j in range(start, until) if label_at.get(j, written) >= landed]
            jobs.close([(0, job) for job in missing])
            found |= set(missing)
        jobs.begin({0: acknowledged}, {L0: written})
    dropped = {job for job in range(acknowledged) if job not in label_at}
    assert found == {job for job in dropped if job < jobs.checked[0]}
    assert jobs.checked[0] > acknowledged - 40
    assert len(found) > 20
