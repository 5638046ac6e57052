"""What `ragwheel up` prints when everything runs."""

from __future__ import annotations

import shlex

from ragwheel.cli.views.table import table
from ragwheel.operations.running import StackState

#: What a service or a shell needs to reach the stack; the rest concerns the workers.
_EXPORTED = ("RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS", "RAGWHEEL_CLICKHOUSE_URL", "RAGWHEEL_TOPIC_PREFIX")


def announce(state: StackState) -> str:
    """Addresses, variables to export, what to do next."""
    rows = [
        (
            process.name,
            process.address or f"http://127.0.0.1:{process.metrics_port}/metrics",
            process.pid,
            process.log_path,
        )
        for process in state.processes
    ]
    exports = "\n".join(
        f"  export {name}={shlex.quote(state.env[name])}" for name in _EXPORTED if name in state.env
    )
    return f"""
{table(("process", "address", "pid", "log"), [(n, a, str(p), log) for n, a, p, log in rows])}

for services and other tools:
{exports}

next, in another terminal: ragwheel status · ragwheel emit --file events.jsonl
Ctrl-C stops everything; the data stay in {state.home}"""
