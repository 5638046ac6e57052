"""A worker's end: one line and a status that says what to do, an orderly end at a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ragwheel.backends import process

_WORKER = """
import sys
from ragwheel.backends import process
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import errors, metrics
from ragwheel.schemas.settings import TrainerSettings

def run(settings, telemetry):
    if sys.argv[1]:
        raise getattr(errors, sys.argv[1])("the thing, the value, the fix")
    assert b"ragwheel_" in b"".join(f.name.encode() for f in telemetry.registry.collect())
    print(settings.log_level)

sys.exit(process.main("trainer", TrainerSettings, run))
"""


def worker(error: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WORKER, error],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_orderly_end_has_status_0_and_says_nothing() -> None:
    done = worker(RAGWHEEL_LOG_LEVEL="ERROR")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ERROR\n", "")


@pytest.mark.parametrize(
    ("error", "status"), [("ConfigError", 78), ("UnavailableError", 69), ("TransientError", 75)]
)
def test_an_error_ends_in_one_line_and_the_status_of_its_class(error: str, status: int) -> None:
    done = worker(error)
    assert done.returncode == status
    (line,) = done.stderr.splitlines()
    assert line.endswith("the thing, the value, the fix")


def test_a_wrong_setting_is_named_before_anything_runs() -> None:
    done = worker("UnavailableError", RAGWHEEL_TRAIN_EPOCHS="many")
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert "RAGWHEEL_TRAIN_EPOCHS" in line


@pytest.fixture
def restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_wish_and_no_exception(number: signal.Signals) -> None:
    told: list[str] = []
    process.on_stop(lambda: told.append("stop"))
    signal.raise_signal(number)
    assert told == ["stop"]


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_wakes_an_event_loop(number: signal.Signals) -> None:
    stop = asyncio.Event()
    process.on_stop(stop.set)
    signal.raise_signal(number)
    assert await asyncio.wait_for(stop.wait(), 10)
