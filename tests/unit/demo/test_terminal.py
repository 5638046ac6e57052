"""A run tells its story calmly: live on a terminal, sparse in a log, with deadlines that help."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ragwheel.demo.accounts import account_problems, dead_letter_problems
from ragwheel.demo.result import DeadLetterSample, TopicAccount
from ragwheel.demo.terminal import Console
from ragwheel.demo.text_table import text_table
from ragwheel.demo.waiting import Awaited, DemoFailedError, Progress, Rate, wait_for


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Stack:
    def __init__(self) -> None:
        self.checks = 0

    def check(self) -> None:
        self.checks += 1


def test_a_log_gets_a_line_every_few_seconds_and_no_carriage_returns() -> None:
    clock, out = Clock(), io.StringIO()
    console = Console(out, clock)

    with console.step("labels"):
        for count in range(60):
            clock.sleep(0.2)
            console.progress(f"{count} of 60")
        console.done("60 of 60")

    lines = out.getvalue().splitlines()
    assert "\r" not in out.getvalue()
    assert len(lines) == 3, "12 seconds: two lines of progress and the result"
    assert lines[-1] == "✓ labels                  12.0 s  60 of 60"


def test_a_terminal_sees_one_line_that_is_redrawn_and_then_replaced() -> None:
    clock, out = Clock(), Terminal()
    console = Console(out, clock)

    with console.step("labels"):
        for count in range(3):
            clock.sleep(0.2)
            console.progress(f"{count} of 3")
        console.done("3 of 3")

    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\r") == 5, "three drawings, and one erasure before the result"


def test_steps_remember_how_long_they_took_also_when_they_fail() -> None:
    clock = Clock()
    console = Console(io.StringIO(), clock)

    def fail() -> None:
        with console.step("training"):
            clock.sleep(7)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert [(step.name, step.seconds) for step in console.steps] == [("training", 7.0)]


def test_waiting_ends_when_the_stage_is_over_and_looks_after_the_stack(tmp_path: Path) -> None:
    clock, stack = Clock(), Stack()
    counts = iter([3, 6, 9])

    def poll() -> Progress:
        count = next(counts)
        return Progress(count == 9, f"{count} of 9")

    text = wait_for(
        Awaited("all labels", "grader", "Look there."),
        poll,
        Console(io.StringIO(), clock),
        stack,
        log_path=tmp_path / "grader.log",
        timeout_s=60,
        clock=clock,
        sleep=clock.sleep,
    )

    assert text == "9 of 9"
    assert stack.checks == 3


def test_waiting_too_long_says_how_far_it_came_what_to_do_and_what_the_log_says(
    tmp_path: Path,
) -> None:
    clock = Clock()
    log = tmp_path / "grader.log"
    log.write_text("starting\nthe key was refused\n")

    with pytest.raises(DemoFailedError) as failed:
        wait_for(
            Awaited("all labels", "grader", "Check the key of the grader."),
            lambda: Progress(False, "5 of 9"),
            Console(io.StringIO(), clock),
            Stack(),
            log_path=log,
            timeout_s=30,
            clock=clock,
            sleep=clock.sleep,
        )

    message = str(failed.value)
    assert message.startswith("all labels: not there after 30 s (5 of 9).")
    assert "Check the key of the grader." in message
    assert str(log) in message
    assert "the key was refused" in message


def test_a_rate_tells_speed_and_time_left_from_the_last_seconds() -> None:
    rate = Rate(window_s=10)

    assert rate.describe(0, 1_000, 0.0) == "0 of 1,000"
    rate.describe(10, 1_000, 10.0)
    assert rate.describe(110, 1_000, 12.0) == "110 of 1,000 (50/s, 18 s left)"
    assert rate.describe(1_000, 1_000, 13.0) == "1,000 of 1,000"


def test_tables_align_words_left_and_figures_right() -> None:
    table = text_table(("topic", "landed"), [("queries", "8,000"), ("models", "1")])

    assert table.splitlines() == [
        "  topic    landed",
        "  ───────  ──────",
        "  queries   8,000",
        "  models        1",
    ]


def test_balanced_books_raise_no_problem() -> None:
    rows = [TopicAccount("queries", 10, 9, 1, 0, 0, 10), TopicAccount("labels", 5, 5, 0, 0, 0)]

    assert list(account_problems(rows)) == []


def test_each_fault_in_the_books_is_named_with_its_topic() -> None:
    rows = [TopicAccount("queries", 10, 6, 1, 2, 1, sent=12)]

    assert list(account_problems(rows)) == [
        "queries: 1 messages are unaccounted for",
        "queries: 2 messages are still in flight",
        "queries: 12 messages were sent and confirmed, but the broker counts 10",
    ]


def test_dead_letters_must_be_exactly_those_that_were_sent_broken() -> None:
    found = [
        DeadLetterSample("queries", "malformed_json", 2, ""),
        DeadLetterSample("labels", "invalid_field", 1, ""),
    ]

    assert list(dead_letter_problems({("queries", "malformed_json"): 2}, found[:1])) == []
    assert list(dead_letter_problems({("queries", "malformed_json"): 3}, found)) == [
        "labels: 1 dead letters with the reason invalid_field, expected 0",
        "queries: 2 dead letters with the reason malformed_json, expected 3",
    ]
