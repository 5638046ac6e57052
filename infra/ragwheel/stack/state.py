"""Writing what a running stack tells other processes; `operations.running` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import orjson

from ragwheel.backends import files
from ragwheel.operations.credentials import CLICKHOUSE_URL, public_env
from ragwheel.operations.running import StackState
from ragwheel.schemas.loading import secret_variables
from ragwheel.stack.composition import DEMO_API_KEY
from ragwheel.stack.home import Home

#: Keys that are none.
_OPEN_NOTHING = (DEMO_API_KEY, "none")


def write_state(home: Home, state: StackState) -> None:
    """Replace the file at once, so that no reader sees half of it; readable by the owner only."""
    env = public(state.env, home.root)
    text = orjson.dumps(asdict(state) | {"env": env}, option=orjson.OPT_INDENT_2)
    files.replace_file(home.state_path, text, mode=0o600)


def public(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """The settings without secrets: a ClickHouse loses its password, other secrets are left out.

    `operations.credentials.private_env` finds the password of the stack's own ClickHouse again.
    """
    return {
        name: value
        for name, value in public_env(env, home).items()
        if name == CLICKHOUSE_URL or name not in secret_variables() or value in _OPEN_NOTHING
    }
