"""Supervised child processes: ended with their parent, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ragwheel.stack.processes import (
    ManagedProcess,
    ProcessFailedError,
    Supervisor,
    free_port,
    port_is_free,
)

pytestmark = [pytest.mark.integration, pytest.mark.spread]

# A child that cannot be talked into ending, with a grandchild in its process group.
_STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("asked to end", flush=True))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("grandchild", child.pid, flush=True)
while True:
    time.sleep(600)
"""
# A child that ends at once and leaves its own child running.
_LEAVES_SOMEBODY = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
raise SystemExit(3)
"""
_SLEEPER = "import time; print('up', flush=True); time.sleep(600)"

# A supervising process: two sleepers and a stubborn one; reports their process ids.
_PARENT = textwrap.dedent(
    """
    import json, sys, time
    from pathlib import Path
    from ragwheel.stack.processes import ManagedProcess, Supervisor

    folder = Path(sys.argv[1])
    codes = json.loads(sys.argv[2])
    with Supervisor() as supervisor:
        children = []
        for number, code in enumerate(codes):
            child = ManagedProcess(
                f"child{number}",
                [sys.executable, "-c", code],
                log_path=folder / f"{number}.log",
                ready=(folder / f"{number}.log").read_text,
                grace_s=30.0,
            )
            supervisor.start(child)
            children.append(child)
        print(json.dumps([child.pid for child in children]), flush=True)
        while True:
            supervisor.check()
            time.sleep(0.05)
    """
)


def python(code: str, log_path: Path, **options: object) -> ManagedProcess:
    """A child running Python code."""
    return ManagedProcess("worker", [sys.executable, "-c", code], log_path=log_path, **options)  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return state.stdout.strip()[:1] not in ("", "Z")


def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


class Parent:
    """A supervising process of its own, and the ids of everything below it."""

    def __init__(self, folder: Path, codes: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PARENT, str(folder), json.dumps(codes)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.children: list[int] = json.loads(self.process.stdout.readline())
        self.all = list(self.children)
        for log in folder.glob("*.log"):
            words = log.read_text().split()
            if words[:1] == ["grandchild"]:
                self.all.append(int(words[1]))
        assert all(is_alive(pid) for pid in self.all)

    def none_left(self) -> bool:
        return not any(is_alive(pid) for pid in self.all)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[..., Parent]]:
    started: list[Parent] = []

    def start(*codes: str) -> Parent:
        started.append(Parent(tmp_path, list(codes)))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()
        for pid in each.all:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_parent_leaves_no_process_behind(
    parent: Callable[..., Parent], number: signal.Signals
) -> None:
    family = parent(_SLEEPER, _STUBBORN)
    assert len(family.all) == 3
    family.process.send_signal(number)
    family.process.wait(timeout=120)
    # The stubborn one and its child fall to SIGKILL after the guardian's grace period.
    assert eventually(family.none_left)


def test_ctrl_c_ends_the_children_and_then_the_parent(parent: Callable[..., Parent]) -> None:
    family = parent(_SLEEPER, _SLEEPER)
    family.process.send_signal(signal.SIGINT)
    family.process.wait(timeout=120)
    assert family.none_left(), "the parent ended before its children"


def test_a_second_ctrl_c_cuts_the_grace_period_and_orphans_nobody(
    parent: Callable[..., Parent], tmp_path: Path
) -> None:
    family = parent(_SLEEPER, _STUBBORN)
    sleeper, stubborn = family.children
    family.process.send_signal(signal.SIGINT)
    # The stubborn one is first in line, with 30 s of grace; so the sleeper still runs.
    assert eventually(lambda: "asked to end" in (tmp_path / "1.log").read_text())
    assert is_alive(sleeper)
    assert is_alive(stubborn)
    began = time.monotonic()
    family.process.send_signal(signal.SIGINT)
    family.process.wait(timeout=120)
    assert time.monotonic() - began < 20
    assert eventually(family.none_left, within_s=2)


def test_a_child_started_from_a_thread_outlives_the_thread(tmp_path: Path) -> None:
    child = python(_SLEEPER, tmp_path / "log")
    thread = threading.Thread(target=child.start)
    thread.start()
    thread.join()
    try:
        assert not eventually(lambda: child.poll() is not None, within_s=0.5)
    finally:
        child.stop()


def test_a_child_that_ends_by_itself_is_reported_with_its_last_log_lines(tmp_path: Path) -> None:
    child = python("print('warming up'); raise SystemExit('no such topic')", tmp_path / "log")
    child.launch()
    assert eventually(lambda: child.poll() is not None)
    with pytest.raises(ProcessFailedError, match=r"(?s)worker ended with exit status 1.*no such"):
        child.check()
    child.stop()


def test_no_signal_goes_to_the_number_of_a_child_that_was_reaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = python("pass", tmp_path / "log")
    child.launch()
    assert eventually(lambda: child.poll() is not None)
    signalled: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _number: signalled.append(group))
    child.stop()
    child.kill()
    assert signalled == []


def test_what_a_child_leaves_behind_ends_when_its_own_end_is_noticed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = python(_LEAVES_SOMEBODY, log)
    child.launch()
    assert eventually(lambda: child.poll() == 3)
    left = int(log.read_text())
    assert eventually(lambda: not is_alive(left))
    child.stop()


def test_a_program_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    child = ManagedProcess("ghost", ["/no/such/program"], log_path=tmp_path / "log")
    child.launch()
    assert eventually(lambda: child.poll() is not None)
    with pytest.raises(ProcessFailedError, match=r"(?s)exit status 127.*/no/such/program"):
        child.check()
    child.stop()


def test_a_child_that_is_not_ready_in_time_is_ended_and_reported(tmp_path: Path) -> None:
    child = python(_SLEEPER, tmp_path / "log", ready=lambda: False, start_timeout_s=0.5)
    with pytest.raises(ProcessFailedError, match=r"(?s)not ready after 0\.5 s.*up"):
        child.start()
    assert child.pid is None


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace_with_its_children(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    child = python(_STUBBORN, log, ready=lambda: "\n" in log.read_text(), grace_s=0.3)
    child.start()
    pid, grandchild = child.pid, int(log.read_text().split()[1])
    assert pid is not None
    child.stop()
    assert eventually(lambda: not is_alive(pid) and not is_alive(grandchild))
    child.stop()  # idempotent


def test_services_stop_in_reverse_order_even_after_a_failed_start() -> None:
    stopped: list[str] = []

    class Recorded:
        def __init__(self, name: str, *, fails: bool = False) -> None:
            self.name = name
            self._fails = fails

        def start(self) -> None:
            if self._fails:
                raise ProcessFailedError(f"{self.name} did not come up")

        def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
            stopped.append(self.name)

        def check(self) -> None:
            """Never fails."""

    def start_all() -> None:
        with Supervisor() as supervisor:
            supervisor.start(Recorded("first"))
            supervisor.start(Recorded("second"))
            supervisor.start(Recorded("third", fails=True))

    with pytest.raises(ProcessFailedError, match="third did not"):
        start_all()
    assert stopped == ["third", "second", "first"]


def test_the_supervisor_names_the_service_that_ended(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(python(_SLEEPER, tmp_path / "fine.log"))
        broken = ManagedProcess(
            "broken",
            ["/bin/sh", "-c", "until [ -e end ]; do sleep 0.02; done; exit 3"],
            log_path=tmp_path / "log",
            cwd=tmp_path,
        )
        supervisor.start(broken)
        supervisor.check()
        (tmp_path / "end").touch()
        assert eventually(lambda: broken.poll() is not None)
        with pytest.raises(ProcessFailedError, match="broken ended with exit status 3"):
            supervisor.check()


def test_a_chosen_port_is_none_that_the_system_hands_out_by_itself() -> None:
    with socket.socket() as outgoing:
        outgoing.bind(("127.0.0.1", 0))
        handed_out = outgoing.getsockname()[1]
    range_file = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(range_file.read_text("ascii").split()[0]) if range_file.exists() else 49_152
    assert max(free_port() for _ in range(200)) < first <= handed_out


def test_free_ports_are_free() -> None:
    assert port_is_free(free_port())
