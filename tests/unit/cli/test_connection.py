"""Which servers a command talks to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragwheel.cli.connection import connect_to
from ragwheel.operations.running import StackState
from ragwheel.schemas.errors import ConfigError, UnavailableError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.stack.home import Home
from ragwheel.stack.state import write_state

BROKER = "127.0.0.1:1234"
URL = "http://default:@127.0.0.1:5678/ragwheel"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that the test may fill, in a folder without a stack."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Path]:
    """Home of a stack that runs."""
    home = Home(tmp_path / "home")
    home.acquire()
    env = {
        "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": BROKER,
        "RAGWHEEL_CLICKHOUSE_URL": URL,
        "RAGWHEEL_TOPIC_PREFIX": "mine.",
    }
    write_state(home, StackState(os.getpid(), str(home.root), "", env))
    yield home.root
    home.release()


def test_the_running_stack_is_used_and_told(
    stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = connect_to(stack)
    assert state is not None
    assert load(KafkaSettings).kafka_bootstrap_servers == BROKER
    assert load(ClickHouseSettings).clickhouse_url.get_secret_value() == URL
    assert f"using the stack in {stack} (pid {os.getpid()})" in capsys.readouterr().err


def test_the_stack_of_the_default_home_is_found(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGWHEEL_HOME", str(stack))
    assert connect_to(None) is not None
    assert load(KafkaSettings).topic_prefix == "mine."


def test_addresses_of_the_environment_win_over_a_stack_that_was_not_typed(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGWHEEL_HOME", str(stack))
    monkeypatch.setenv("RAGWHEEL_CLICKHOUSE_URL", "http://prod:8123/ragwheel")
    assert connect_to(None) is None
    assert load(ClickHouseSettings).clickhouse_url.get_secret_value() == "http://prod:8123/ragwheel"
    assert load(KafkaSettings).kafka_bootstrap_servers == "localhost:9092"


def test_a_typed_home_wins_over_addresses_of_the_environment(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGWHEEL_CLICKHOUSE_URL", "http://prod:8123/ragwheel")
    connect_to(stack)
    assert load(ClickHouseSettings).clickhouse_url.get_secret_value() == URL


def test_other_settings_of_the_environment_win_over_the_stack(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGWHEEL_TOPIC_PREFIX", "typed.")
    connect_to(stack)
    assert load(KafkaSettings).topic_prefix == "typed."


def test_without_stack_and_addresses_the_defaults_are_used(tmp_path: Path) -> None:
    assert connect_to(None) is None
    assert load(KafkaSettings).kafka_bootstrap_servers == "localhost:9092"


def test_a_typed_home_without_a_stack_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no stack is running in .*empty.*ragwheel up"):
        connect_to(tmp_path / "empty")


def test_a_stack_that_is_still_starting_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.acquire()
    with pytest.raises(UnavailableError, match="is starting or stopping"):
        connect_to(home.root)
    home.release()
