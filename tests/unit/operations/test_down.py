"""Ending a stack from another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragwheel.operations.down import Stopped, stop_stack
from ragwheel.schemas.errors import TransientError

#: Holds a home as `ragwheel up` does; the second argument says what SIGTERM does to it.
_HOLDER = """
import signal, sys, time
from pathlib import Path
from ragwheel.stack.home import Home
signal.signal(signal.SIGTERM, getattr(signal, sys.argv[2]))
home = Home(Path(sys.argv[1]))
home.acquire()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds `tmp_path`."""
    reaction = getattr(request, "param", "SIG_DFL")
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path), reaction], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_the_process_that_holds_the_home_is_ended(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    assert stop_stack(tmp_path) == Stopped(str(tmp_path), holder.pid)
    assert holder.wait() == -15
    assert stop_stack(tmp_path) == Stopped(str(tmp_path), None)


def test_nothing_that_runs_is_no_error(tmp_path: Path) -> None:
    assert stop_stack(tmp_path / "never").pid is None


def test_a_process_id_that_was_left_behind_is_not_signalled(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (tmp_path / "lock").write_text(str(bystander.pid), encoding="utf-8")
    try:
        assert stop_stack(tmp_path).pid is None
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("holder", ["SIG_IGN"], indirect=True)
def test_a_stack_that_does_not_end_is_told_with_its_process(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(TransientError, match=f"kill -9 {holder.pid}"):
        stop_stack(tmp_path, timeout_s=0.2)
    assert holder.poll() is None
