"""An outage is told once per interval, our own messages always."""

import logging

from ragwheel.grading.quiet import Repeats


def _record(logger: str, line: int) -> logging.LogRecord:
    return logging.LogRecord(logger, logging.ERROR, "file.py", line, "down %d", (line,), None)


def test_a_library_s_message_passes_once_per_interval() -> None:
    now = 0.0
    repeats = Repeats(30.0, lambda: now)
    passed = []
    for now in (0.0, 0.1, 29.9, 30.0, 30.1):  # noqa: B007 - read by the clock
        passed.append(repeats.filter(_record("aiokafka.consumer", 7)))
    assert passed == [True, False, False, True, False]
    assert repeats.filter(_record("aiokafka.consumer", 8))


def test_our_own_messages_always_pass() -> None:
    repeats = Repeats(30.0, lambda: 0.0)
    assert all(repeats.filter(_record("ragwheel.streams", 7)) for _ in range(5))
