"""A run tells its story calmly: live on a terminal, sparse in a log, with deadlines that help."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from ragwheel.demo.terminal import Terminal
from ragwheel.demo.waiting import Awaited, DemoFailedError, Standing, wait_for
from ragwheel.models.encoder import batches_by_length


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


ERASE_LINE = "\x1b[2K"


class Window(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CI or the developer's shell says about terminals must not decide."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


class Stack:
    def __init__(self) -> None:
        self.checks = 0

    def check(self) -> None:
        self.checks += 1


def test_a_log_gets_a_line_every_few_seconds_and_no_control_characters() -> None:
    clock, out = Clock(), io.StringIO()
    terminal = Terminal(out, clock)

    with terminal.step("labels"):
        for count in range(60):
            clock.sleep(0.2)
            terminal.progress(f"{count} of 60")
        terminal.done("60 of 60")

    lines = out.getvalue().splitlines()
    assert out.getvalue().isprintable() or not set("\r\x1b") & set(out.getvalue())
    assert len(lines) == 3, "12 seconds: two lines of progress and the result"
    assert lines[-1] == "✓ labels                  12.0 s  60 of 60"


def tell(clock: Clock, out: io.StringIO) -> str:
    """A step with some progress; what was written."""
    terminal = Terminal(out, clock)
    with terminal.step("labels"):
        for count in range(3):
            clock.sleep(0.2)
            terminal.progress(f"{count} of 3")
        terminal.done("3 of 3")
    return out.getvalue()


def test_a_terminal_sees_one_line_that_is_redrawn_and_then_erased(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = tell(Clock(), Window())

    assert "3 of 3" in text
    assert text.rstrip().endswith(ERASE_LINE), "the live line is gone in the end"


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_a_terminal_that_nobody_looks_at_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    text = tell(Clock(), Window())

    assert ERASE_LINE not in text
    assert text.count("\n") == 1


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    green = "\x1b[32m"
    assert green in tell(Clock(), Window())

    monkeypatch.setenv("NO_COLOR", "1")

    assert green not in tell(Clock(), Window())


def test_long_lines_are_not_broken_in_a_log() -> None:
    out = io.StringIO()
    path = "/a/long/way" * 30

    Terminal(out).say(f"Report: {path}")

    assert out.getvalue() == f"Report: {path}\n"


def test_steps_remember_how_long_they_took_also_when_they_fail() -> None:
    clock = Clock()
    terminal = Terminal(io.StringIO(), clock)

    def fail() -> None:
        with terminal.step("training"):
            clock.sleep(7)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert [(step.name, step.seconds) for step in terminal.steps] == [("training", 7.0)]


def test_waiting_ends_when_the_stage_is_over_and_looks_after_the_stack(tmp_path: Path) -> None:
    clock, stack = Clock(), Stack()
    counts = iter([3, 6, 9])

    def poll() -> Standing:
        count = next(counts)
        return Standing(count == 9, "almost", (count, 9), "pairs")

    text = wait_for(
        Awaited("all labels", "grader", "Look there.", poll),
        Terminal(io.StringIO(), clock),
        stack.check,
        log_path=tmp_path / "grader.log",
        timeout_s=60,
        clock=clock,
        sleep=clock.sleep,
    )

    assert text == "9 of 9 pairs; almost"
    assert stack.checks == 3


def test_waiting_too_long_says_how_far_it_came_what_to_do_and_what_the_log_says(
    tmp_path: Path,
) -> None:
    clock = Clock()
    log = tmp_path / "grader.log"
    log.write_text("starting\nthe key was refused\n")

    with pytest.raises(DemoFailedError) as failed:
        wait_for(
            Awaited(
                "all labels",
                "grader",
                "Check the key of the grader.",
                lambda: Standing(False, count=(5, 9)),
            ),
            Terminal(io.StringIO(), clock),
            Stack().check,
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


def test_a_stage_that_is_slow_is_waited_for_as_long_as_it_moves(tmp_path: Path) -> None:
    clock = Clock()
    counts = iter(range(1_000))

    def poll() -> Standing:
        count = next(counts)
        return Standing(count == 200, count=(count, 200), unit="pairs")

    text = wait_for(
        Awaited("all labels", "grader", "Look there.", poll),
        Terminal(io.StringIO(), clock),
        Stack().check,
        log_path=tmp_path / "grader.log",
        timeout_s=30,
        clock=clock,
        sleep=clock.sleep,
    )

    assert text == "200 of 200 pairs"
    assert clock.now == 200, "100 seconds"


def test_a_count_tells_speed_and_time_left_from_the_last_minute() -> None:
    clock, out = Clock(), io.StringIO()
    terminal = Terminal(out, clock)

    with terminal.step("labels"):
        for done in (0, 10, 310, 610):
            terminal.progress("the rest follows", done, 1_000, "pairs")
            clock.sleep(6)

    assert (
        out.getvalue()
        .splitlines()[-1]
        .endswith("610 of 1,000 pairs (50/s, 8 s left); the rest follows")
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_predicted_total_is_right_from_a_tenth_of_the_work_on(seed: int) -> None:
    """Long texts first, a cost proportional to tokens: texts per second would be off tenfold."""
    rng = random.Random(seed)
    texts = ["x" * length for length in sorted(rng.choices(range(20, 1_000), k=6_000))]
    batches = list(batches_by_length(texts, 128))
    tokens = [sum(min(128, len(texts[row]) // 3 + 2) for row in batch) for batch in batches]
    total, speed = sum(tokens), 3_000.0
    clock = Clock()
    terminal = Terminal(io.StringIO(), clock)
    predicted = []
    with terminal.step("embedding"):
        terminal.progress("", 0, total, "tokens")
        began, done = clock.now, 0
        for batch in tokens:
            clock.sleep(batch / speed)
            done += batch
            terminal.progress("", done, total, "tokens")
            if done >= total / 10:
                predicted.append(clock.now - began + (terminal.time_left() or 0.0))

    true = total / speed
    assert 0.8 * true < min(predicted) <= max(predicted) < 1.2 * true
