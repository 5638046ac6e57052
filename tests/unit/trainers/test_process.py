"""Each wait of the trainer's loop and each step of a cycle tells that it is alive."""

from __future__ import annotations

from ragwheel.trainers.process import LoggedProgress, Stop


def test_a_wait_and_a_step_are_turns_of_the_loop() -> None:
    turns: list[str] = []
    stop = Stop(lambda: turns.append("wait"))
    assert not stop.wait(0)
    progress = LoggedProgress(lambda: turns.append("step"))
    progress("train", 1, 100)
    progress("train", 2, 100)
    assert turns == ["wait", "step", "step"]
    stop.set()
    assert stop.wait(0)
