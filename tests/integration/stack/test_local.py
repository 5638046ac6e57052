"""`ragwheel up` from start to end, as a user meets it: real processes, real signals."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from tests.rigs.children import end, spawn
from tests.rigs.up import (
    START_S,
    STOP_S,
    Up,
    clean_environment,
    processes_of,
    ragwheel,
    status_of,
    wait_until,
)

from ragwheel.backends.clickhouse import connect
from ragwheel.operations.credentials import private_env, read_password
from ragwheel.operations.overview import table_rows
from ragwheel.operations.running import running_pid, running_state
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.stack import LocalStack, RestartPolicy, settings_in
from ragwheel.stack.processes import ProcessFailedError

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc"),
]

#: Rows of what was sent, on a slow machine.
LAND_S = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the homes of this module are."""
    return tmp_path_factory.mktemp("stacks")


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Up]]:
    """Starts stacks; whatever a test leaves running is ended."""
    started: list[Up] = []

    def start_one(home: Path, *without: str, env: Mapping[str, str] | None = None) -> Up:
        started.append(Up(home, *without, env=env))
        return started[-1]

    yield start_one
    for up in started:
        end(up.process)


@pytest.fixture(scope="module")
def stack(start: Callable[..., Up], folder: Path) -> Up:
    """A stack that runs during the module, grading every query."""
    up = start(folder / "shared", "trainer", env={"RAGWHEEL_SAMPLE_RATE": "1"})
    up.says("Ctrl-C stops everything")
    return up


def wait_for_rows(up: Up, name: str, rows: int) -> None:
    """Waits until a table holds exactly so many rows as readers see them."""
    client = connect(settings_in(private_env(up.state), ClickHouseSettings))
    try:
        wait_until(
            lambda: next(t.rows for t in table_rows(client) if t.table == name) == rows,
            LAND_S,
            f"{rows} rows in {name}",
        )
    finally:
        client.close()


def topic_of(status: dict[str, Any], name: str) -> dict[str, Any]:
    """The account of one topic."""
    return next(topic for topic in status["topics"] if topic["topic"] == name)


def rows_of(status: dict[str, Any], name: str) -> int:
    """Rows of one table."""
    return int(next(table["rows"] for table in status["tables"] if table["table"] == name))


def events(count: int, query: str = "how") -> str:
    """Lines of `count` queries and their retrievals."""
    ts = datetime.now(UTC).isoformat()
    lines: list[dict[str, object]] = []
    for number in range(count):
        common = {"query_id": f"{query}-{number}", "ts": ts, "segment": "test"}
        lines.append({"event": "query", "text": f"{query} to number {number}", **common})
        candidates = [
            {"chunk_id": f"c{rank}", "rank": rank, "score": 1 / rank, "text": f"text {rank} how"}
            for rank in (1, 2, 3)
        ]
        lines.append(
            {"event": "retrieval", "query": f"{query} to number {number}", **common}
            | {"candidates": candidates}
        )
    return "".join(orjson.dumps(line).decode() + "\n" for line in lines)


def test_events_of_a_file_land_and_are_graded(stack: Up) -> None:
    done = ragwheel(
        "emit", "--file", "-", "--home", str(stack.home),
        stdin=events(10) + '{"event": "query"}\nnot json\n',
    )  # fmt: skip
    assert done.returncode == 65
    assert "20 delivered (10 queries, 10 retrievals), 2 invalid" in done.stdout
    assert "line 21: invalid_field" in done.stderr
    assert "line 22: malformed_json" in done.stderr

    wait_for_rows(stack, "labels", 30)
    status = status_of(stack)
    assert status["healthy"]
    assert (rows_of(status, "queries"), rows_of(status, "retrievals")) == (10, 10)
    assert {label["status"] for label in status["labels"]} == {"graded"}
    assert {group["members"] for group in status["groups"]} == {1}


def test_the_stand_in_is_named_wherever_grades_are(stack: Up) -> None:
    assert "NO LLM GRADES" in stack.output
    assert "Grades come from a stand-in that is no LLM" in stack.output
    status = status_of(stack)
    assert status["stand_in"]
    assert {label["model"] for label in status["labels"]} == {"stand-in-grader"}
    shown = ragwheel("status", "--home", str(stack.home)).stdout.splitlines()
    assert "labels are a stand-in's, not an LLM's" in shown[-1]
    doctor = ragwheel("doctor", "--quick", "--home", str(stack.home))
    assert "is a stand-in, no LLM" in doctor.stdout
    grader = stack.state.process("grader")
    assert grader is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{grader.metrics_port}/metrics") as answer:
        told = answer.read().decode()
    assert 'ragwheel_grader_stand_in{model="stand-in-grader",role="label"} 1.0' in told


def test_an_endpoint_without_a_key_ends_the_start_with_one_line(
    start: Callable[..., Up], tmp_path: Path
) -> None:
    llm = {"RAGWHEEL_LLM_BASE_URL": "http://127.0.0.1:1/v1", "RAGWHEEL_LLM_MODEL": "m"}
    up = start(tmp_path / "home", "trainer", env=llm | {"RAGWHEEL_JUDGE_MODEL": "n"})
    assert up.process.wait(START_S) == 78
    assert up.output.startswith("ragwheel: RAGWHEEL_LLM_BASE_URL, RAGWHEEL_LLM_MODEL")
    assert up.output.count("\n") == 1


def test_an_endpoint_is_used_as_it_is_configured(
    stack: Up, start: Callable[..., Up], tmp_path: Path
) -> None:
    other = stack.state.process("llm")
    assert other is not None
    llm = {
        "RAGWHEEL_LLM_BASE_URL": other.address,
        "RAGWHEEL_LLM_API_KEY": "none",
        "RAGWHEEL_LLM_MODEL": "stand-in-judge",
        "RAGWHEEL_JUDGE_MODEL": "no-such-model",
    }
    # The servers of the other stack, so that only the grader is left to start.
    without = ("kafka", "clickhouse", "intake", "accounts", "trainer")
    up = start(tmp_path / "home", *without, env={**private_env(stack.state), **llm})
    assert up.process.wait(START_S) == 1
    assert "'no-such-model' is not found" in up.output
    assert "NO LLM GRADES" not in up.output


def test_the_shown_variables_lead_to_the_stack(stack: Up) -> None:
    exports = [line.strip() for line in stack.output.splitlines() if "export " in line]
    assert [line for line in exports if "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS=" in line]
    run = f"{sys.executable} -m ragwheel.cli"
    script = "\n".join([*exports, f"{run} topics --dry-run", f"{run} migrate --dry-run >&2"])
    done = subprocess.run(
        ["/bin/sh", "-ec", script],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "all topics exist\n"
    assert "using the stack" not in done.stderr


def test_the_password_is_shown_nowhere_and_reaches_processes_by_their_environment(
    stack: Up,
) -> None:
    password = read_password(stack.home / "clickhouse").encode()
    assert password not in stack.output.encode()
    for path in (stack.home / "state.json", *(stack.home / "logs").iterdir()):
        assert password not in path.read_bytes(), path
    for pid in processes_of(stack.home) | {stack.process.pid}:
        assert password not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_everything_in_the_home_is_its_owners_alone(stack: Up) -> None:
    """Also what Kafka, the engine and the workers write."""
    wrong = {}
    paths = [stack.home, *stack.home.rglob("*")]
    for path in paths:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # merged away meanwhile
            continue
        if not stat.S_ISLNK(mode) and mode & 0o077:
            wrong[str(path.relative_to(stack.home))] = oct(stat.S_IMODE(mode))
    assert len(paths) > 100
    assert wrong == {}


def test_a_second_stack_in_the_same_home_is_refused(stack: Up) -> None:
    done = ragwheel("up", "--home", str(stack.home))
    assert done.returncode == 78
    assert f"pid {stack.process.pid}" in done.stderr
    assert "--home DIR" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_killed_worker_comes_back(stack: Up) -> None:
    before = stack.state.process("grader")
    assert before is not None
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)

    def is_back() -> bool:
        now = stack.state.process("grader")
        return now is not None and now.alive and now.pid != before.pid and now.restarts == 1

    wait_until(is_back, START_S, "the grader runs again")
    assert "grader ended by SIGKILL; restart 1" in stack.output


@pytest.mark.parametrize("name", ["kafka", "clickhouse", "llm"])
def test_a_killed_server_comes_back_with_its_data_on_its_port(stack: Up, name: str) -> None:
    sent = ragwheel("emit", "--file", "-", "--home", str(stack.home), stdin=events(2, name))
    assert sent.returncode == 0, sent.stderr
    env, before = stack.state.env, stack.state.process(name)
    assert before is not None
    assert before.pid is not None
    landed = rows_of(status_of(stack), "labels")
    os.kill(before.pid, signal.SIGKILL)

    def is_back() -> bool:
        now = stack.state.process(name)
        return now is not None and now.alive and now.pid != before.pid and now.restarts == 1

    wait_until(is_back, START_S, f"{name} runs again")
    stack.says(f"{name} is running again")
    now = stack.state.process(name)
    assert now is not None
    assert (now.address, stack.state.env) == (before.address, env)
    sent = ragwheel("emit", "--file", "-", "--home", str(stack.home), stdin=events(2, f"{name}-2"))
    assert sent.returncode == 0, sent.stderr
    wait_until(
        lambda: rows_of(status_of(stack), "labels") >= landed + 6, LAND_S, "labels of both halves"
    )
    assert status_of(stack)["unaccounted"] == 0


@pytest.mark.slow
def test_a_second_home_runs_beside_the_first_and_keeps_its_data_over_restarts(
    stack: Up, start: Callable[..., Up], folder: Path
) -> None:
    without = ("llm", "grader", "trainer")
    first = start(folder / "beside", *without)
    first.says("Ctrl-C stops everything")
    for address in ("RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS", "RAGWHEEL_CLICKHOUSE_URL"):
        assert first.state.env[address] != stack.state.env[address]
    sent = ragwheel("emit", "--file", "-", "--home", str(first.home), stdin=events(3, "beside"))
    assert sent.returncode == 0
    wait_for_rows(first, "retrievals", 3)
    assert rows_of(status_of(stack), "retrievals") != 3

    env = first.state.env
    assert first.end(signal.SIGINT) == 130
    assert "no stack is running" in ragwheel("status", "--home", str(first.home)).stderr

    second = start(folder / "beside", *without)
    second.says("Ctrl-C stops everything")
    status = status_of(second)
    assert rows_of(status, "retrievals") == 3
    assert topic_of(status, "retrievals")["produced"] == 3
    assert status["unaccounted"] == 0
    assert second.state.env == env, "addresses that a shell exported stay valid"

    # Nobody is left to stop them, and they end all the same.
    assert second.end(signal.SIGKILL) == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["first child", "broker ready"])
def test_ctrl_c_while_starting_leaves_no_process(
    start: Callable[..., Up], tmp_path: Path, moment: str
) -> None:
    up = start(tmp_path / "home", "trainer")
    if moment == "broker ready":
        up.says("kafka ready")
    else:
        wait_until(lambda: len(processes_of(up.home)) > 1, START_S, "a child runs")
    assert up.end(signal.SIGINT) == 130
    assert "Traceback" not in up.output


def test_a_server_that_cannot_come_back_ends_the_stack_with_its_name_and_what_to_do(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    stack = LocalStack(
        tmp_path / "home",
        components=["clickhouse"],
        policy=RestartPolicy(max_restarts=2, first_delay_s=0.1),
        on_progress=told.append,
    )
    with stack, socket.socket() as squatter:
        clickhouse = stack.state.process("clickhouse")
        assert clickhouse is not None
        assert clickhouse.pid is not None
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(clickhouse.pid, signal.SIGKILL)
        wait_until(lambda: takes(squatter, urlsplit(clickhouse.address).port), STOP_S, "the port")
        with pytest.raises(
            ProcessFailedError, match=r"clickhouse ended.* 3 times in a row"
        ) as gone:
            stack.wait(until=lambda: False, timeout_s=START_S)
    assert "cannot listen on 127.0.0.1" in str(gone.value)
    assert "start the stack again" in str(gone.value)
    assert any("clickhouse ended by SIGKILL; restart 1 of 2" in line for line in told)
    assert not processes_of(tmp_path / "home")


def takes(squatter: socket.socket, port: int | None) -> bool:
    """Whether it has the port now."""
    try:
        squatter.bind(("127.0.0.1", port or 0))
    except OSError:
        return False
    squatter.listen()
    return True


@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "ragwheel down"])
def test_a_stack_in_a_scripts_background_is_ended_like_any_other(tmp_path: Path, way: str) -> None:
    home = tmp_path / "home"
    left_out = ("kafka", "llm", "intake", "accounts", "grader", "trainer")
    up = [sys.executable, "-m", "ragwheel.cli", "up", "--home", str(home)]
    up += [part for name in left_out for part in ("--without", name)]
    # What a script has in the background ignores SIGINT, unless it says otherwise itself.
    script = spawn(
        ["sh", "-c", '"$@" & wait $!', "script", *up], tmp_path / "output", clean_environment()
    )
    try:
        wait_until(lambda: running_state(home) is not None, START_S, "the stack runs")
        pid = running_pid(home)
        assert pid is not None
        if way == "ragwheel down":
            assert ragwheel("down", "--home", str(home)).returncode == 0
        else:
            os.kill(pid, signal.Signals[way])
        status = script.wait(STOP_S)
        assert status == (130 if way == "SIGINT" else 143)
        assert not processes_of(home)
    finally:
        end(script)
