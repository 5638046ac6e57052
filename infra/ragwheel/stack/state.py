"""Writing what a running stack tells other processes; `operations.running` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import orjson

from ragwheel.backends import files
from ragwheel.operations.running import StackState
from ragwheel.schemas.secrets import ClickHouseUrl
from ragwheel.schemas.settings import secret_variables
from ragwheel.stack.home import Home


def write_state(home: Home, state: StackState) -> None:
    """Replace the file at once, so that no reader sees half of it; readable by the owner only."""
    text = orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2)
    files.replace_file(home.state_path, text, mode=0o600)


def public(env: Mapping[str, str], own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings without secrets: the URL loses its credentials, other secrets are left out.

    Args:
        own: settings that the stack's own servers gave; their secrets open nothing else and stay.
    """
    kept = own or {}
    shown = {name: value for name, value in env.items() if name not in secret_variables()}
    if url := env.get("RAGWHEEL_CLICKHOUSE_URL"):
        shown["RAGWHEEL_CLICKHOUSE_URL"] = str(ClickHouseUrl(url))
    return shown | {name: value for name, value in kept.items() if env.get(name) == value}
