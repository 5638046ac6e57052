"""What a stack tells others about itself."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from ragwheel.operations.running import (
    ProcessState,
    StackState,
    read_state,
    running_state,
    start_of,
)
from ragwheel.schemas.loading import secret_variables
from ragwheel.stack.composition import DEMO_API_KEY
from ragwheel.stack.home import Home
from ragwheel.stack.state import public, write_state


def _state(home: Path, **env: str) -> StackState:
    processes = (
        ProcessState("kafka", os.getpid(), "k.log", address="127.0.0.1:9"),
        ProcessState("intake", None, "i.log", metrics_port=8, restarts=2),
    )
    return StackState(1, str(home), "2026-01-31T12:00:00+00:00", env, processes)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = _state(tmp_path, RAGWHEEL_CLICKHOUSE_URL="http://u:@h:1/db")
    write_state(Home(tmp_path), state)
    assert read_state(tmp_path) == state


def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    write_state(Home(tmp_path), _state(tmp_path))
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("key", [DEMO_API_KEY, "none"])
def test_the_key_of_the_stand_in_and_none_are_no_secrets(tmp_path: Path, key: str) -> None:
    write_state(Home(tmp_path), _state(tmp_path, RAGWHEEL_LLM_API_KEY=key))
    read = read_state(tmp_path)
    assert read is not None
    assert read.env == {"RAGWHEEL_LLM_API_KEY": key}


def test_secrets_of_others_are_not_told(tmp_path: Path) -> None:
    secrets = {name: f"secret of {name}" for name in secret_variables()}
    url = {"RAGWHEEL_CLICKHOUSE_URL": "http://user:pa/ss#w@rd@db:8123/ragwheel"}
    assert public({**secrets, **url, "RAGWHEEL_LLM_MODEL": "m"}, tmp_path) == {
        "RAGWHEEL_CLICKHOUSE_URL": "http://db:8123/ragwheel",
        "RAGWHEEL_LLM_MODEL": "m",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_file_that_makes_no_sense_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text, encoding="utf-8")
    assert read_state(tmp_path) is None


def test_a_stack_that_ended_has_a_state_but_is_not_running(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.acquire()
    state = replace(_state(tmp_path), pid=os.getpid())
    write_state(home, state)
    assert running_state(tmp_path) == state
    home.release()
    assert running_state(tmp_path) is None
    assert read_state(tmp_path) is not None


def test_a_stack_that_is_starting_is_not_taken_for_the_one_before_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.acquire()
    write_state(home, replace(_state(tmp_path), pid=os.getpid() + 1))
    assert running_state(tmp_path) is None
    home.release()


def test_a_process_is_alive_while_its_pid_exists(tmp_path: Path) -> None:
    kafka, intake = _state(tmp_path).processes
    assert kafka.alive
    assert not intake.alive
    assert replace(kafka, started=start_of(os.getpid())).alive
    assert not replace(kafka, started=0.0).alive, "another process got its id"
    assert _state(tmp_path).process("intake") == intake
    assert _state(tmp_path).process("nobody") is None
