"""Which broker and database a command talks to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ragwheel.operations.credentials import private_env
from ragwheel.operations.running import StackState, choose_home, running_pid, running_state
from ragwheel.schemas.errors import ConfigError, UnavailableError

#: Whoever sets one of these knows where to go; the local stack is then left alone.
ADDRESSES = ("RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS", "RAGWHEEL_CLICKHOUSE_URL")


def addresses_are_set() -> bool:
    """Whether the environment says where to go."""
    return any(os.environ.get(name) for name in ADDRESSES)


def connect_to(home: Path | None) -> StackState | None:
    """Point this process's settings at the right servers and say so on stderr.

    A `--home` that was typed wins, then addresses in the environment, then the stack that runs in
    the default home. Single settings in the environment win over the stack's in all cases but
    the addresses of a typed home.

    Returns:
        The stack, None when the settings of the environment are used.

    Raises:
        ConfigError: no stack runs in the home that was typed.
        UnavailableError: a stack is starting there.
    """
    if home is None and addresses_are_set():
        return None
    root = choose_home(home)
    state = running_state(root)
    if state is None and (pid := running_pid(root)) is not None:
        raise UnavailableError(
            f"the stack in {root} (pid {pid}) is starting or stopping: try again in some seconds"
        )
    if state is None:
        if home is not None:
            raise ConfigError(f"no stack is running in {root}: start one with `ragwheel up`")
        return None
    for name, value in private_env(state).items():
        if name in ADDRESSES or not os.environ.get(name):
            os.environ[name] = value
    print(f"using the stack in {state.home} (pid {state.pid})", file=sys.stderr)
    return state
