"""Log lines about our own trouble are few."""

from __future__ import annotations

import logging

import pytest

from ragwheel.client.complaints import Complaints


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_kind_is_said_once_and_later_with_the_number_in_between(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    complaints = Complaints(repeat_after_s=300, clock=clock)
    assert complaints.say("full", "the queue is full")
    for _ in range(41):
        clock.now_s += 1
        assert not complaints.say("full", "the queue is full")
    clock.now_s = 300
    assert complaints.say("full", "the queue is full")
    assert caplog.messages == [
        "the queue is full",
        "the queue is full (41 more like this since the last line)",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_kinds_do_not_silence_each_other(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(clock=Clock())
    complaints.say("one", "first %s")  # not a format string
    complaints.say("two", "second")
    assert caplog.messages == ["first %s", "second"]


def test_a_forked_child_says_it_again(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(clock=Clock())
    complaints.say("one", "first")
    complaints.reset()
    complaints.say("one", "first")
    assert caplog.messages == ["first", "first"]
