"""When a dead process comes back, and when it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ragwheel.schemas.errors import ConfigError, RagwheelError
from ragwheel.stack.processes import ManagedProcess, ProcessFailedError
from ragwheel.stack.processes.loopback import LoopbackServer
from ragwheel.stack.supervised import RestartPolicy, Supervised

POLICY = RestartPolicy(max_restarts=3, first_delay_s=1.0, max_delay_s=3.0, stable_s=60.0)


class FakeWorker(ManagedProcess):
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


class FakeServer(FakeWorker, LoopbackServer):
    """A server that answers, and can be started, when the test says so."""

    def __init__(self, folder: Path) -> None:
        LoopbackServer.__init__(
            self, "kafka", address="{port}", variables={}, log_path=folder / "kafka.log"
        )
        self.status: int | None = None
        self.launches = 0
        self.answers = True
        self.in_the_way: RagwheelError | None = None

    def _prepare(self) -> list[str]:
        return []

    def _answers(self) -> bool:
        return self.answers

    def launch(self) -> None:
        if self.in_the_way is not None:
            raise self.in_the_way
        super().launch()


class Bench:
    """A supervised process, which is fake, and a fake clock."""

    def __init__(self, process: FakeWorker) -> None:
        self.now = 0.0
        self.events: list[str] = []
        self.process = process
        self.servers_are_down = False
        self.worker = Supervised(
            self.process,
            policy=POLICY,
            on_event=self.events.append,
            waits=lambda: self.servers_are_down,
            clock=lambda: self.now,
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
    return Bench(FakeWorker(tmp_path))


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    return FakeServer(tmp_path)


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
    bench.process.log_path.write_text("no such thing\n", encoding="utf-8")
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


def test_a_worker_waits_for_the_servers_and_its_deaths_meanwhile_are_theirs(bench: Bench) -> None:
    bench.servers_are_down = True
    for _ in range(2 * POLICY.max_restarts):
        bench.die()
        bench.come_back()
        bench.process.status = None
    assert bench.process.launches == 1
    assert "restart when the servers are back" in bench.events[0]
    bench.servers_are_down = False
    bench.come_back()
    assert bench.process.launches == 2
    bench.die()
    assert "restart 1 of 3" in bench.events[-1]


def test_a_server_is_back_when_it_answers(server: FakeServer) -> None:
    bench = Bench(server)
    server.answers = False
    bench.die(-9)
    assert bench.worker.is_down
    bench.come_back()
    assert (server.launches, bench.worker.is_down, len(bench.events)) == (2, True, 1)
    server.answers = True
    bench.worker.check()
    assert not bench.worker.is_down
    assert "kafka is running again (pid 102)" in bench.events[1]


def test_a_server_that_does_not_answer_in_time_is_started_once_more(server: FakeServer) -> None:
    bench = Bench(server)
    server.answers = False
    bench.die()
    bench.come_back()
    bench.now += 121.0
    bench.worker.check()
    assert "kafka did not answer within 120 s; restart 2 of 3" in bench.events[-1]
    bench.come_back()
    assert server.launches == 3


def test_a_server_whose_port_is_taken_is_tried_again_until_it_is_given_up(
    server: FakeServer,
) -> None:
    bench = Bench(server)
    server.in_the_way = ConfigError("the port is in use")
    bench.die(ConfigError.exit_code)
    for _ in range(POLICY.max_restarts - 1):
        bench.come_back()
    assert "kafka could not be started (the port is in use); restart 3 of 3" in bench.events[-1]
    with pytest.raises(ProcessFailedError, match=r"4 times in a row; giving up.*start the stack"):
        bench.come_back()


def test_a_server_that_could_not_start_comes_back_when_the_way_is_free(server: FakeServer) -> None:
    bench = Bench(server)
    server.in_the_way = ConfigError("the port is in use")
    bench.die()
    bench.come_back()
    server.in_the_way = None
    bench.come_back()
    assert (server.launches, bench.worker.is_down) == (2, False)
