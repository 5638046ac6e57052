"""The processes of a local stack, started again when they die, and not for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ragwheel.operations.workers import WorkerName, worker_argv
from ragwheel.schemas.errors import ConfigError, RagwheelError
from ragwheel.schemas.settings import PREFIX
from ragwheel.stack.home import Home
from ragwheel.stack.processes import (
    ManagedProcess,
    ProcessFailedError,
    describe_status,
    kept_port,
    listens,
)
from ragwheel.stack.processes.loopback import PYTHON_LOGS, LoopbackServer

#: Workers that a starting stack does not wait for.
SLOW_TO_START: frozenset[WorkerName] = frozenset({"trainer", "server"})
_START_TIMEOUT_S = 60.0
#: A server that was killed reads its data first.
_BACK_S = 120.0
# Intake finishes its batch and the grader its calls in flight; what is unfinished is read again.
# The trainer may be deaf for half a minute while it imports torch, and has nothing to lose: a model
# is registered by one rename, and a cycle that was cut off starts again.
# Accounts only read, and may be in the middle of a question that is not answered.
# The server answers what waits.
_GRACE_S: Mapping[WorkerName, float] = {
    "intake": 20.0,
    "accounts": 5.0,
    "grader": 20.0,
    "trainer": 5.0,
    "server": 10.0,
}


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a dead process comes back.

    Attributes:
        max_restarts: deaths in a row that are forgiven; one more ends the stack.
        first_delay_s: wait before the first restart; it doubles each time.
        max_delay_s: longest wait.
        stable_s: a process that lived this long starts from zero again.
    """

    max_restarts: int = 5
    first_delay_s: float = 0.5
    max_delay_s: float = 15.0
    stable_s: float = 60.0

    def delay_s(self, failures: int) -> float:
        """Wait before the restart that follows the `failures`-th death in a row (1, 2 …)."""
        return min(self.max_delay_s, self.first_delay_s * 2.0 ** (failures - 1))


class Supervised:
    """One supervised process. Fits `ragwheel.stack.processes.Service`.

    `wait_ready` does not restart: a process that dies while the stack starts is a fault to be shown
    at once. After that `check` restarts it by `policy`.

    A server keeps its data and its port, which others know; it is back when it answers there, and
    whatever keeps it from that is tried again, a port that somebody took meanwhile too. A worker is
    back when it runs.

    Args:
        metrics_port: of /metrics on 127.0.0.1.
        address: of a worker that others call; a server has its own.
        on_event: told in one line about each death and restart.
        waits: says that others must come back first: until then it is not restarted, and its
            deaths are theirs.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        process: ManagedProcess,
        *,
        metrics_port: int = 0,
        address: str = "",
        policy: RestartPolicy,
        on_event: Callable[[str], None],
        waits: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.process = process
        self.metrics_port = metrics_port
        self.address = address
        self._is_server = isinstance(process, LoopbackServer)
        self._policy = policy
        self._on_event = on_event
        self._waits = waits
        self._clock = clock
        self._launched_at = 0.0
        self._failures = 0
        self._restart_at: float | None = None
        self._coming_back = False
        self.restarts = 0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.process.name

    @property
    def pid(self) -> int | None:
        """Process id, None while it is down."""
        return None if self._restart_at is not None else self.process.pid

    @property
    def is_down(self) -> bool:
        """Whether it died and is not back yet, as far as `check` has noticed."""
        return self._restart_at is not None or self._coming_back

    def start(self) -> None:
        """Launch it and return at once; `wait_ready` waits, so that several can start together."""
        self._launched_at = self._clock()
        self.process.launch()

    def wait_ready(self) -> None:
        """Wait until it is ready; raises ProcessFailedError if it ends before, or is too late."""
        self.process.wait_ready()

    def check(self) -> None:
        """Notice a death, restart when the wait is over.

        Raises:
            ProcessFailedError: it died too often in a row.
            ConfigError: a worker said that its settings are wrong, which no restart repairs.
        """
        if self._restart_at is not None:
            if self._clock() >= self._restart_at and not self._waits():
                self._restart()
            return
        status = self.process.poll()
        if status is not None:
            how = f"{self.name} ended {describe_status(status)}"
            if status == ConfigError.exit_code and not self._is_server:
                raise ConfigError(
                    f"{how}: a setting is wrong, so it is not restarted"
                    + self.process.describe_log()
                )
            self._failed(how)
        elif self._coming_back:
            self._look_whether_it_is_back()

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        """End it. Idempotent."""
        self.process.stop(hurry=hurry)
        self._restart_at, self._coming_back = None, False

    def _failed(self, how: str) -> None:
        """Plan the next restart, if there is one."""
        lived_s = self._clock() - self._launched_at
        if lived_s >= self._policy.stable_s and not self._coming_back:
            self._failures = 0
        self._coming_back = False
        if not self._waits():
            self._failures += 1
        if self._failures > self._policy.max_restarts:
            raise ProcessFailedError(
                f"{how}, {self._failures} times in a row; giving up. Repair the cause and start "
                "the stack again: its data are kept" + self.process.describe_log()
            )
        delay_s = self._policy.delay_s(max(self._failures, 1))
        self._restart_at = self._clock() + delay_s
        when = f"restart {self._failures} of {self._policy.max_restarts} in {delay_s:g} s"
        if self._waits():
            when = "restart when the servers are back"
        self._on_event(f"{how}; {when} (log {self.process.log_path})")

    def _restart(self) -> None:
        self.process.kill()  # reaps the dead child and ends what it may have left
        self._restart_at = None
        self.restarts += 1
        try:
            self.start()
        except RagwheelError as error:
            self._failed(f"{self.name} could not be started ({error})")
            return
        self._coming_back = True
        self._look_whether_it_is_back()

    def _look_whether_it_is_back(self) -> None:
        if not self._is_server or self.process.is_ready():
            self._coming_back = False
            self._on_event(f"{self.name} is running again (pid {self.pid})")
        elif self._clock() - self._launched_at > _BACK_S:
            self._failed(f"{self.name} did not answer within {_BACK_S:g} s")


def worker(
    home: Home,
    name: WorkerName,
    settings: Mapping[str, str],
    *,
    policy: RestartPolicy,
    on_event: Callable[[str], None],
    waits: Callable[[], bool],
) -> Supervised:
    """The worker `name` as a child of this process, ready when it serves its metrics.

    `policy`, `on_event` and `waits` are those of `Supervised`.
    """
    port = kept_port(home.port_note(name))
    others = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    process = ManagedProcess(
        name,
        worker_argv(name),
        log_path=home.log_path(name),
        env={
            **others,
            **settings,
            "RAGWHEEL_METRICS_PORT": str(port),
            **PYTHON_LOGS,
        },
        ready=lambda: listens(port),
        start_timeout_s=_START_TIMEOUT_S,
        grace_s=_GRACE_S[name],
    )
    serves = f"http://127.0.0.1:{settings['RAGWHEEL_SERVING_PORT']}" if name == "server" else ""
    return Supervised(
        process, metrics_port=port, address=serves, policy=policy, on_event=on_event, waits=waits
    )
