"""Waiting on real servers: what intake took has landed; jobs wait for a grader that never comes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.rigs.intake import IntakeRig

from ragwheel.operations.goals import Goal, Waited, wait
from ragwheel.schemas.events import RetrievalEvent
from ragwheel.schemas.settings import GraderSettings, IntakeSettings

pytestmark = [pytest.mark.integration]


def waited(rig: IntakeRig, goal: Goal, timeout_s: float) -> Waited:
    settings = {**rig.kafka.model_dump(), **rig.clickhouse.model_dump()}
    return wait(
        goal, IntakeSettings(**settings), GraderSettings(**settings),
        since=datetime.now(UTC), timeout_s=timeout_s, tell=lambda _: None,
    )  # fmt: skip


def test_all_lands_and_jobs_are_left_for_the_grader(rig: IntakeRig) -> None:
    found = [
        RetrievalEvent.model_validate(
            {
                "event": "retrieval", "query_id": f"q{number}", "query": f"what is {number}?",
                "ts": datetime.now(UTC).isoformat(),
                "candidates": [{"chunk_id": "c", "rank": 1, "score": 0.5, "text": "an answer"}],
            }
        )
        for number in range(20)
    ]  # fmt: skip
    rig.emit("retrievals", found)
    assert waited(rig, "landed", 1).left == {"retrievals": 20}
    rig.start(sample_rate=1.0)
    assert waited(rig, "landed", 90).reached
    assert rig.rows("SELECT count() FROM v_retrievals") == [(20,)]
    ended = waited(rig, "graded", 3)
    assert not ended.reached
    assert ended.left == {"grading": 20}
    assert not waited(rig, "trained", 0).reached
