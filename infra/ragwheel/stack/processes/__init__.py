"""Child processes of the local stack: started together, ended together, never left behind.

Guarantees:

- Each child leads its own session, so a Ctrl-C in the terminal reaches only the supervising
  process, which then stops the children in reverse order.
- If the supervising process dies, even by SIGKILL, `guardian` ends every child and its
  descendants that stayed in the child's process group, within `guardian.GRACE_S` seconds.
- A child that ends by itself is reported with its exit status and its last log lines.
"""

from ragwheel.stack.processes.child import (
    ManagedProcess,
    ProcessFailedError,
    describe_status,
    last_lines,
)
from ragwheel.stack.processes.ports import free_port, kept_port, listens, port_is_free
from ragwheel.stack.processes.supervisor import Service, Supervisor

__all__ = [
    "ManagedProcess",
    "ProcessFailedError",
    "Service",
    "Supervisor",
    "describe_status",
    "free_port",
    "kept_port",
    "last_lines",
    "listens",
    "port_is_free",
]
