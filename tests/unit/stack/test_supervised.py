"""When a dead worker comes back, and when it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ragwheel.schemas.errors import ConfigError
from ragwheel.stack.processes import ManagedProcess, ProcessFailedError
from ragwheel.stack.supervised import RestartPolicy, Worker

POLICY = RestartPolicy(max_restarts=3, first_delay_s=1.0, max_delay_s=3.0, stable_s=60.0)


class FakeProcess(ManagedProcess):
    """A child that lives and dies when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__("grader", ["grader"], log_path=folder / "grader.log")
        self.status: int | None = None
        self.launches = 0

    @property
    def pid(self) -> int | None:
        return 100 + self.launches

    def launch(self) -> None:
        self.launches += 1
        self.status = None

    def poll(self) -> int | None:
        return self.status

    def kill(self) -> None:
        self.status = None

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        self.status = None


class Bench:
    """A worker on a fake process and a fake clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.events: list[str] = []
        self.process = FakeProcess(folder)
        self.worker = Worker(
            self.process, policy=POLICY, on_event=self.events.append, clock=lambda: self.now
        )
        self.worker.start()

    def die(self, status: int = 1) -> None:
        """Dies, which the next check notices."""
        self.process.status = status
        self.worker.check()

    def come_back(self) -> None:
        """Waits as long as any restart may take."""
        self.now += POLICY.max_delay_s
        self.worker.check()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_dead_worker_is_started_again_after_the_delay(bench: Bench) -> None:
    bench.die(-9)
    assert bench.worker.pid is None
    bench.now += 0.9
    bench.worker.check()
    assert bench.process.launches == 1
    bench.now += 0.1
    bench.worker.check()
    assert (bench.process.launches, bench.worker.restarts) == (2, 1)
    assert [bench.worker.pid] == [102]
    assert "grader ended by SIGKILL; restart 1 of 3 in 1 s" in bench.events[0]
    assert "running again (pid 102)" in bench.events[1]


def test_delays_double_up_to_the_longest() -> None:
    assert [POLICY.delay_s(failures) for failures in (1, 2, 3, 9)] == [1.0, 2.0, 3.0, 3.0]


def test_a_worker_that_dies_too_often_in_a_row_is_given_up_with_its_log(bench: Bench) -> None:
    bench.worker.log_path.write_text("no such thing\n", encoding="utf-8")
    for _ in range(POLICY.max_restarts):
        bench.die()
        bench.come_back()
    with pytest.raises(ProcessFailedError, match=r"4 times in a row; giving up[^$]*no such thing"):
        bench.die()


def test_a_worker_that_lived_long_enough_starts_from_zero(bench: Bench) -> None:
    for _ in range(3 * POLICY.max_restarts):
        bench.die()
        bench.come_back()
        bench.now += POLICY.stable_s
    assert bench.worker.restarts == 3 * POLICY.max_restarts


def test_a_wrong_setting_is_told_at_once_since_no_restart_repairs_it(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="a setting is wrong"):
        bench.die(ConfigError.exit_code)


def test_a_worker_that_ends_without_an_error_comes_back_too(bench: Bench) -> None:
    bench.die(0)
    bench.come_back()
    assert bench.process.launches == 2


def test_a_stopped_worker_does_not_come_back(bench: Bench) -> None:
    bench.die()
    bench.worker.stop()
    bench.come_back()
    assert bench.process.launches == 1
