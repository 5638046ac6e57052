"""The password of the local stack's ClickHouse: where it is kept, and how commands come by it.

It stands in one file that its owner alone reads, and in the environment of the stack's processes.
`state.json`, logs, arguments and messages have the address without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from urllib.parse import unquote

from ragwheel.operations.running import StackState
from ragwheel.schemas.secrets import ClickHouseUrl

#: The embedded engine's one user.
USER = "default"
CLICKHOUSE_URL = "RAGWHEEL_CLICKHOUSE_URL"


def clickhouse_dir(home: Path) -> Path:
    """Where the ClickHouse of the stack of `home` keeps its data."""
    return home / "clickhouse"


def password_file(data_dir: Path) -> Path:
    """The file that holds the password of the embedded ClickHouse in `data_dir`."""
    return data_dir / "password"


def read_password(data_dir: Path) -> str:
    """The password; empty before the first start."""
    try:
        return password_file(data_dir).read_text("ascii").strip()
    except FileNotFoundError:
        return ""


def public_env(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """`env` with the URL of ClickHouse as anybody may see it, without a password.

    That of the stack's own server keeps its user, so that `private_env` finds the password again;
    of another one with a password the address alone is left.
    """
    url = ClickHouseUrl(env.get(CLICKHOUSE_URL, ""))
    scheme, _, rest = url.get_secret_value().partition("://")
    credentials, _, where = rest.rpartition("@")
    password = unquote(credentials.partition(":")[2])
    if not password:
        return dict(env)
    own = password == read_password(clickhouse_dir(home))
    return {**env, CLICKHOUSE_URL: f"{scheme}://{USER}@{where}" if own else str(url)}


def private_env(state: StackState) -> dict[str, str]:
    """The settings of a stack with the password of its ClickHouse, for who may read that."""
    env = dict(state.env)
    if CLICKHOUSE_URL in env and state.process("clickhouse") is not None:
        password = read_password(clickhouse_dir(Path(state.home)))
        env[CLICKHOUSE_URL] = with_password(env[CLICKHOUSE_URL], password)
    return env


def shell_value(url: str, home: Path) -> str:
    """`url` for a shell, which reads the password from its file: what is shown tells nothing."""
    read = f"$(cat {quote(str(password_file(clickhouse_dir(home))))})"
    return f'"{with_password(url, read)}"'


def with_password(url: str, password: str) -> str:
    """A URL that names a user, with that user's password."""
    return url.replace("@", f":{password}@", 1)
