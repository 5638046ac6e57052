"""Our own processes in a local stack: intake, accounts, grader, trainer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ragwheel.operations.workers import WorkerName, worker_argv
from ragwheel.schemas.settings import PREFIX
from ragwheel.stack.home import Home
from ragwheel.stack.processes import ManagedProcess
from ragwheel.stack.servers import PYTHON_LOGS, listens
from ragwheel.stack.supervised import RestartPolicy, Worker

#: Workers that a starting stack does not wait for.
SLOW_TO_START: frozenset[WorkerName] = frozenset({"trainer"})
_START_TIMEOUT_S = 60.0
# Intake finishes its batch and the grader its calls in flight; what is unfinished is read again.
# The trainer may be deaf for half a minute while it imports torch, and has nothing to lose: a model
# is registered by one rename, and a cycle that was cut off starts again.
# Accounts only read, and may be in the middle of a question that is not answered.
_GRACE_S: Mapping[WorkerName, float] = {
    "intake": 20.0,
    "accounts": 5.0,
    "grader": 20.0,
    "trainer": 5.0,
}


def worker(
    home: Home,
    name: WorkerName,
    settings: Mapping[str, str],
    metrics_port: int,
    *,
    policy: RestartPolicy,
    on_event: Callable[[str], None],
) -> Worker:
    """The worker `name` as a child of this process, ready when it serves its metrics."""
    others = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    process = ManagedProcess(
        name,
        worker_argv(name),
        log_path=home.log_path(name),
        env={
            **others,
            **settings,
            "RAGWHEEL_METRICS_PORT": str(metrics_port),
            **PYTHON_LOGS,
        },
        ready=lambda: listens(metrics_port),
        start_timeout_s=_START_TIMEOUT_S,
        grace_s=_GRACE_S[name],
    )
    return Worker(process, policy=policy, on_event=on_event)


def metrics_url(port: int) -> str:
    """Where a worker's metrics are read."""
    return f"http://127.0.0.1:{port}/metrics"
