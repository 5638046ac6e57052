"""The local stack: real Kafka, the real ClickHouse engine and our workers as child processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from ragwheel.operations.running import ProcessState, StackState, read_state, start_of
from ragwheel.operations.workers import WORKERS
from ragwheel.schemas.settings import Settings
from ragwheel.stack import schema
from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.stack.composition import (
    USUAL_COMPONENTS,
    Component,
    DemoLlm,
    ExternalLlm,
    choose_llm,
    demo_llm,
    local_defaults,
    ragwheel_settings,
    require_key,
)
from ragwheel.stack.home import Home
from ragwheel.stack.kafka import KafkaBroker
from ragwheel.stack.processes import ProcessFailedError, Supervisor, kept_port
from ragwheel.stack.processes.loopback import LoopbackServer
from ragwheel.stack.prometheus import PrometheusServer
from ragwheel.stack.state import write_state
from ragwheel.stack.supervised import SLOW_TO_START, RestartPolicy, Supervised, worker

_Settings = TypeVar("_Settings", bound=Settings)
# A guardian gives orphans 5 s before it kills them.
_ORPHANS_TIMEOUT_S = 8.0
_SERVING_PORT = "RAGWHEEL_SERVING_PORT"


class LocalStack:
    """The whole loop on this machine. A context manager: inside the block everything runs.

    Data are kept in `home` and found again by the next stack there. One stack per home; stacks in
    different homes run side by side. Leaving the block, Ctrl-C at any moment and the death of this
    process (even by SIGKILL) all end every child.

    Use from the main thread of one process.

    Args:
        home: folder of everything; created if missing.
        env: settings (`RAGWHEEL_…`) for the workers, over those of this process's environment.
        llm: which LLM grades; None: the endpoint that the environment configures, or, if it says
            nothing of one, the stand-in that counts common words.
        on_progress: told what happens in single lines.
        components: what to start. For a server that is left out, the settings of the environment
            say where another one is.
        prometheus: also start the system's Prometheus, scraping every worker.
        policy: when a dead process is started again.
    """

    def __init__(
        self,
        home: Path,
        *,
        env: Mapping[str, str] | None = None,
        llm: DemoLlm | ExternalLlm | None = None,
        on_progress: Callable[[str], None] | None = None,
        components: Collection[Component] = USUAL_COMPONENTS,
        prometheus: bool = False,
        policy: RestartPolicy | None = None,
    ) -> None:
        self.home = Home(home)
        self._given = ragwheel_settings(os.environ) | dict(env or {})
        self._llm = choose_llm(self._given) if llm is None else llm
        self._progress = on_progress or (lambda _line: None)
        self._components = frozenset(components)
        self._with_prometheus = prometheus
        self._policy = policy or RestartPolicy()
        self._env: dict[str, str] = {}
        self._supervisor = Supervisor()
        self._servers: list[LoopbackServer] = []
        self._workers: list[Supervised] = []
        self._supervised: list[Supervised] = []
        self._started_at = ""
        self._holds_home = False

    @property
    def env(self) -> dict[str, str]:
        """Settings that point any process or client at this stack (a copy)."""
        return dict(self._env)

    def settings(self, kind: type[_Settings], **overrides: Any) -> _Settings:
        """Settings that point a process or client at this stack: `settings(ClientSettings)`."""
        return schema.settings_in(self._env, kind, **overrides)

    @property
    def state(self) -> StackState:
        """What runs where, now."""
        processes = tuple(map(_state_of, self._supervised))
        return StackState(os.getpid(), str(self.home.root), self._started_at, self.env, processes)

    def start(self) -> None:
        """Start everything and wait until it is ready. The `with` statement calls it.

        Trainer and server are not waited for: they load torch and a model before they answer. If
        one fails, `check` tells.

        Raises:
            ConfigError: another stack holds the home, or a setting is wrong.
            DependencyError: a package or program is missing.
            ProcessFailedError: a process did not come up; with its last log lines.
        """
        self.home.acquire()
        self._holds_home = True
        try:
            self._start()
        except BaseException:  # Ctrl-C too: whatever cuts a start short, nothing stays behind
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, in reverse order. Idempotent."""
        if not self._holds_home:
            return
        if self._supervised:
            self._progress("stopping")
        self._supervisor.stop()
        if self._started_at:
            # Without process ids.
            write_state(self.home, self.state)
        self._holds_home = False
        self.home.release()

    def check(self) -> None:
        """Restart what died. Call it about once a second while the stack is in use.

        Servers come back with their data on their port; workers that die meanwhile wait for them.

        Raises:
            ProcessFailedError: a process died too often in a row; with its last log lines.
            ConfigError: a worker found its settings wrong.
        """
        before = [each.pid for each in self._supervised]
        self._supervisor.check()
        if before != [each.pid for each in self._supervised]:
            write_state(self.home, self.state)

    def wait(
        self,
        *,
        until: Callable[[], bool] | None = None,
        poll_s: float = 0.5,
        timeout_s: float | None = None,
    ) -> None:
        """Block until `until` says True (or for ever) and `check` meanwhile.

        Raises:
            ProcessFailedError: as `check`; or the time ran out.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while until is None or not until():
            self.check()
            if deadline is not None and time.monotonic() > deadline:
                raise ProcessFailedError(
                    f"what was waited for did not happen within {timeout_s:g} s; "
                    f"see the logs in {self.home.log_path('').parent}"
                )
            time.sleep(poll_s)

    def _start(self) -> None:
        began = time.monotonic()
        if isinstance(self._llm, ExternalLlm) and "grader" in self._components:
            require_key(self._given)
        self._wait_for_orphans()
        self._env = local_defaults(self.home) | self._given
        # Everything that can start by itself is launched first and waited for afterwards; the
        # broker takes longest.
        if "clickhouse" in self._components:
            self._launch(
                ClickHouseFront(self.home.clickhouse_dir, log_path=self.home.log_path("clickhouse"))
            )
        if "llm" in self._components and isinstance(self._llm, DemoLlm):
            self._progress(str(self._llm))
            self._launch(demo_llm(self.home, self._llm))
        if "kafka" in self._components:
            self._launch(KafkaBroker(self.home.kafka_dir, on_progress=self._progress))
        for server in self._servers:
            self._wait_for(server)
        used = bool(self._components & set(WORKERS))
        if used or "clickhouse" in self._components:
            schema.create_schema(self._env, self._progress)
        if used or "kafka" in self._components:
            local = "kafka" in self._components
            schema.create_missing_topics(self._env, self._progress, replication=1 if local else -1)
        if "server" in self._components:
            # A port of its own, so that stacks stand side by side; the same in every run.
            port = self._given.get(_SERVING_PORT) or kept_port(self.home.port_note("serving"))
            self._env[_SERVING_PORT] = str(port)
        self._start_workers()
        if self._with_prometheus:
            ports = {each.name: each.metrics_port for each in self._workers}
            self._launch(PrometheusServer(self.home, ports))
        self._wait_for_workers()
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        write_state(self.home, self.state)
        self._progress(f"stack ready after {time.monotonic() - began:.1f} s")

    def _launch(self, server: LoopbackServer) -> None:
        self._servers.append(server)
        held = Supervised(server, policy=self._policy, on_event=self._progress)
        self._supervised.append(held)
        self._supervisor.start(held)

    def _wait_for(self, server: LoopbackServer) -> None:
        server.wait_ready()
        self._env |= server.settings()
        self._progress(f"{server.name} ready at {server.address}")

    def _start_workers(self) -> None:
        servers = tuple(self._supervised)
        for name in WORKERS:
            if name in self._components:
                held = worker(
                    self.home,
                    name,
                    self._env,
                    policy=self._policy,
                    on_event=self._progress,
                    waits=lambda: any(server.is_down for server in servers),
                )
                self._workers.append(held)
                self._supervised.append(held)
                self._supervisor.start(held)

    def _wait_for_workers(self) -> None:
        for each in self._workers:
            url = f"http://127.0.0.1:{each.metrics_port}/metrics"
            if each.name in SLOW_TO_START:
                where = each.address or f"metrics at {url}"
                self._progress(f"{each.name} starting, then {where}")
                continue
            each.wait_ready()
            self._progress(f"{each.name} ready, metrics at {url}")
        if self._with_prometheus:
            self._wait_for(self._servers[-1])

    def _wait_for_orphans(self) -> None:
        """Give the children of a stack that was killed here the seconds they need to end."""
        previous = read_state(self.home.root)
        processes = previous.processes if previous else ()
        deadline = time.monotonic() + _ORPHANS_TIMEOUT_S
        if any(process.alive for process in processes):
            self._progress("waiting for the processes of a stack that was killed to end")
        while any(process.alive for process in processes) and time.monotonic() < deadline:
            time.sleep(0.05)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _state_of(held: Supervised) -> ProcessState:
    process, pid = held.process, held.pid
    return ProcessState(
        held.name,
        pid,
        str(process.log_path),
        process.address if isinstance(process, LoopbackServer) else held.address,
        held.metrics_port,
        held.restarts,
        started=None if pid is None else start_of(pid),
    )
