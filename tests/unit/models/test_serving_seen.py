"""Since when a promoted model waits for its first query."""

from __future__ import annotations

from datetime import timedelta

from tests.rigs.trainer_world import NOON

from ragwheel.models.serving_seen import SeenModel, unseen_s

HOUR = timedelta(hours=1)


def seen(model_id: str, hours: int) -> SeenModel:
    return SeenModel("search", model_id, "f", NOON - HOUR, NOON + hours * HOUR, 7)


def test_a_promoted_model_is_unseen_until_a_retrieval_after_the_promotion_names_it() -> None:
    now = NOON + 3 * HOUR
    assert unseen_s([], "new", NOON, now) == 3 * 3_600
    assert unseen_s([seen("old", 2)], "new", NOON, now) == 3 * 3_600
    assert unseen_s([seen("old", 2), seen("new", 1)], "new", NOON, now) == 0
    assert unseen_s([seen("new", -1)], "new", NOON, now) == 3 * 3_600, "it served before, once"
