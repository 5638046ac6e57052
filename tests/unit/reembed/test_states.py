"""Which moves a state allows, and how plans are named."""

from __future__ import annotations

from typing import get_args

import pytest
from tests.rigs.reembedding import AT, DrawnEncoder, planned

from ragwheel.reembed.states import (
    NEXT,
    ReembedAction,
    ReembedRefusedError,
    ReembedState,
    allowed,
    free_version,
    reembed_id,
)

NEW = DrawnEncoder("new")
#: State → actions that do something there.
MOVES: dict[ReembedState, set[ReembedAction]] = {
    "planned": {"run", "abort"},
    "running": {"run", "abort"},
    "built": {"run", "verify", "abort"},
    "verified": {"run", "verify", "cutover", "rollback", "abort"},
    "cut over": {"run", "cutover", "rollback", "retire"},
    "rolled back": {"verify", "abort"},
    "retired": set(),
    "aborted": set(),
}
DONE: set[tuple[ReembedState, ReembedAction]] = {
    ("rolled back", "rollback"), ("retired", "retire"), ("aborted", "abort"),
}  # fmt: skip


@pytest.mark.parametrize("state", get_args(ReembedState))
@pytest.mark.parametrize("action", get_args(ReembedAction))
def test_a_state_allows_its_moves_alone(state: ReembedState, action: ReembedAction) -> None:
    reembed = planned(NEW, state=state)
    if action in MOVES[state]:
        assert allowed(reembed, action)
    elif (state, action) in DONE:
        assert not allowed(reembed, action)
    else:
        with pytest.raises(ReembedRefusedError) as refused:
            allowed(reembed, action)
        assert state in str(refused.value)
        assert NEXT[state] in str(refused.value)


def test_a_change_of_state_is_one_step_and_keeps_the_plan() -> None:
    before = planned(NEW, chunks=7)
    after = before.moved("running", AT, "somebody", "because")
    assert (after.step, after.state, after.by, after.reason) == (
        1,
        "running",
        "somebody",
        "because",
    )
    assert (after.chunks, after.build) == (7, before.build)


def test_equal_plans_are_one_reembedding_and_others_are_not() -> None:
    one = reembed_id("docs", "2", "a")
    assert one == reembed_id("docs", "2", "a")
    assert len({one, reembed_id("docs", "2", "b"), reembed_id("docs", "3", "a")}) == 3


def test_a_new_build_gets_a_version_that_no_build_had() -> None:
    assert free_version("r", set()) == "r"
    assert free_version("r", {"r", "r_2", "other"}) == "r_3"
