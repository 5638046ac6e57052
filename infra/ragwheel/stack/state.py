"""Writing what a running stack tells other processes; `operations.running` reads it."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from ragwheel.backends import files
from ragwheel.operations.credentials import public_env
from ragwheel.operations.running import StackState
from ragwheel.stack.composition import DEMO_API_KEY
from ragwheel.stack.home import Home

#: Names that end like this carry secrets and stay out of the file.
_SECRET_SUFFIXES = ("_API_KEY", "_PASSWORD")


def write_state(home: Home, state: StackState) -> None:
    """Replace the file at once, so that no reader sees half of it; readable by the owner only."""
    env = public_env(state.env, home.root)
    public = {name: value for name, value in env.items() if not _is_secret(name, value)}
    text = orjson.dumps(asdict(state) | {"env": public}, option=orjson.OPT_INDENT_2)
    files.replace_file(home.state_path, text, mode=0o600)


def _is_secret(name: str, value: str) -> bool:
    return name.endswith(_SECRET_SUFFIXES) and value not in (DEMO_API_KEY, "none")
