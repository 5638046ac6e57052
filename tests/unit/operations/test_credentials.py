"""The password of the local ClickHouse: who sees it, and who gets it back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ragwheel.operations.credentials import (
    CLICKHOUSE_URL,
    clickhouse_dir,
    password_file,
    private_env,
    public_env,
    shell_value,
)
from ragwheel.operations.running import ProcessState, StackState

LOCAL = {CLICKHOUSE_URL: "http://default:pa-55_word@127.0.0.1:5/ragwheel", "RAGWHEEL_X": "y"}
SHOWN = {CLICKHOUSE_URL: "http://default@127.0.0.1:5/ragwheel", "RAGWHEEL_X": "y"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a ClickHouse that was started before, in a folder that needs quoting."""
    home = tmp_path / "it's a home"
    clickhouse_dir(home).mkdir(parents=True)
    password_file(clickhouse_dir(home)).write_text("pa-55_word\n", "ascii")
    return home


def state(home: Path, env: dict[str, str], *names: str) -> StackState:
    return StackState(1, str(home), "", env, tuple(ProcessState(name, 1, "") for name in names))


def test_a_local_address_is_shown_without_its_password_and_completed_again(home: Path) -> None:
    assert public_env(LOCAL, home) == SHOWN
    assert public_env(SHOWN, home) == SHOWN
    assert private_env(state(home, SHOWN, "clickhouse")) == LOCAL


def test_of_another_server_with_a_password_the_address_alone_is_shown(home: Path) -> None:
    for url, shown in (
        ("https://u:s3cret@ch.example.org:8443/db", "https://ch.example.org:8443/db"),
        ("http://u:s%40cret@h/db", "http://h/db"),
        ("http://u:s@c/r#t@h/db", "http://h/db"),
    ):
        assert public_env({CLICKHOUSE_URL: url}, home) == {CLICKHOUSE_URL: shown}
    open_one = {CLICKHOUSE_URL: "http://default@ch.example.org/db"}
    assert public_env(open_one, home) == open_one
    assert private_env(state(home, open_one, "kafka")) == open_one, "our password is not for it"


def test_a_shell_reads_the_password_from_its_file(home: Path) -> None:
    value = shell_value(SHOWN[CLICKHOUSE_URL], home)
    assert "pa-55" not in value
    done = subprocess.run(
        ["/bin/sh", "-c", f"printf %s {value}"], capture_output=True, text=True, check=True
    )
    assert done.stdout == LOCAL[CLICKHOUSE_URL]
