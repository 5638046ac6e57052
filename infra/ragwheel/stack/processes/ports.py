"""Loopback TCP ports for servers of the local stack."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

_READY_PROBE_S = 0.5
# Below what Linux (32768) and macOS (49152) hand out for outgoing connections and for port 0: a
# port that was chosen here and is bound a moment later is not taken by chance in between.
_CHOICE = range(20_000, 32_768)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listened on a moment ago.

    Only somebody who asks for this very port can take it before the caller does.

    Raises:
        OSError: 127.0.0.1 cannot be bound.
    """
    for _ in _CHOICE:
        port = secrets.choice(_CHOICE)
        if port_is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        chosen: int = probe.getsockname()[1]
        return chosen


def port_is_free(port: int) -> bool:
    """Whether 127.0.0.1:`port` can be bound now (ports in TIME_WAIT count as free)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def noted_port(file: Path) -> int:
    """The port that a server noted in `file`; 0 if it did not, or was cut short."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def kept_port(note: Path, wanted: int | None = None) -> int:
    """`wanted`, or the port noted in `note` if it is still free, or any free one; noted again."""
    port = noted_port(note) if wanted is None else wanted
    if wanted is None and not (port and port_is_free(port)):
        port = free_port()
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{port}\n", encoding="ascii")
    return port


def listens(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1:`port`."""
    with socket.socket() as probe:
        probe.settimeout(_READY_PROBE_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0
