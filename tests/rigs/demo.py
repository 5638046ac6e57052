"""One run of the small demo, as a user starts it, under the eyes of a Prometheus."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.rigs.children import end, module, spawn
from tests.rigs.panels import Prometheus, running_prometheus

from ragwheel.operations.running import StackState, read_state

#: Longest that the small demo may take on a busy machine, seconds.
DEMO_TIMEOUT_S = 1_140.0


@dataclass(frozen=True, slots=True)
class DemoRun:
    """`ragwheel demo --scale small`, as a user runs it.

    Attributes:
        exit_status: of the command.
        output: all that it printed.
        home: the run's own folder, with what the demo leaves behind.
        prometheus: scraped every process of the run and is still running; None if not installed.
        started: Unix time of the first scrape.
        ended: Unix time when the command returned.
    """

    exit_status: int
    output: str
    home: Path
    prometheus: Prometheus | None
    started: float
    ended: float


@contextmanager
def played_demo(homes: Path) -> Iterator[DemoRun]:
    """Play the small demo to its end; its Prometheus runs until the block ends."""
    output = homes / "output.txt"
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAGWHEEL_")}
    if "RAGWHEEL_CACHE_DIR" in os.environ:
        env["RAGWHEEL_CACHE_DIR"] = os.environ["RAGWHEEL_CACHE_DIR"]
    command = module("ragwheel.cli", "demo", "--scale", "small")
    with ExitStack() as cleanup:
        demo = spawn([*command, "--home", str(homes / "runs")], output, env)
        cleanup.callback(end, demo)
        deadline = time.monotonic() + DEMO_TIMEOUT_S
        state = _await_stack(demo, homes / "runs", deadline)
        started = time.time()
        prometheus = None
        if state is not None and shutil.which("prometheus"):
            ports = {one.name: one.metrics_port for one in state.processes if one.metrics_port}
            prometheus = cleanup.enter_context(running_prometheus(homes / "prometheus", ports))
        try:
            exit_status = demo.wait(timeout=max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pytest.fail(f"the demo took over {DEMO_TIMEOUT_S:g} s:\n{output.read_text('utf-8')}")
        yield DemoRun(
            exit_status,
            output.read_text("utf-8", errors="replace"),
            Path(state.home) if state else homes / "runs",
            prometheus,
            started,
            time.time(),
        )


def _await_stack(demo: subprocess.Popen[bytes], homes: Path, deadline: float) -> StackState | None:
    """The state of the demo's stack once it runs; None if the demo ended before."""
    while time.monotonic() < deadline and demo.poll() is None:
        for path in homes.glob("*/state.json"):
            state = read_state(path.parent)
            if state is not None:
                return state
        time.sleep(0.2)
    return None
