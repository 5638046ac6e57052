"""Trying again in place."""

from __future__ import annotations

import logging

import pytest

from ragwheel.intake.backoff import (
    MAX_DELAY_S,
    Persistence,
    StopRequestedError,
    delay_s,
)
from ragwheel.schemas.errors import TerminalError, UnavailableError


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    def __call__(self) -> str:
        if self.left:
            self.left -= 1
            raise UnavailableError("down")
        return "answer"


def test_waits_double_up_to_a_cap_and_jitter_spreads_their_upper_half() -> None:
    assert [delay_s(n, 1.0) for n in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert delay_s(10_000, 1.0) == MAX_DELAY_S
    assert delay_s(3, 0.0) == 0.4


def test_an_operation_is_repeated_until_it_works(caplog: pytest.LogCaptureFixture) -> None:
    waits: list[float] = []
    failed: list[int] = []
    persistence = Persistence(waits.append, lambda: 1.0)
    with caplog.at_level(logging.WARNING):
        answer = persistence.until_done("the insert", Flaky(3), lambda: failed.append(1))
    assert answer == "answer"
    assert waits == [0.2, 0.4, 0.8]
    assert len(failed) == 3
    # Once when it begins, once when it is over, however often it was tried.
    assert [record.message for record in caplog.records] == [
        "the insert failed; trying again until it works: down",
        "the insert works again, after 3 failed attempts",
    ]


def test_success_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    assert Persistence(lambda _: None, lambda: 0.0).until_done("x", lambda: 7) == 7
    assert caplog.records == []


def test_what_cannot_succeed_is_not_repeated() -> None:
    def refuse() -> None:
        raise TerminalError("never")

    with pytest.raises(TerminalError):
        Persistence(lambda _: pytest.fail("waited"), lambda: 0.0).until_done("x", refuse)


def test_a_request_to_stop_ends_the_waiting() -> None:
    def wait(_: float) -> None:
        raise StopRequestedError("stop")

    with pytest.raises(StopRequestedError):
        Persistence(wait, lambda: 0.0).until_done("x", Flaky(99))
