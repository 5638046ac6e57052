"""`ragwheel up` from start to end, as a user meets it: real processes, real signals."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.rigs.children import end, module, spawn

from ragwheel.backends.clickhouse import connect
from ragwheel.operations.credentials import private_env, read_password
from ragwheel.operations.overview import table_rows
from ragwheel.operations.running import StackState, read_state
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.stack import settings_in

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc"),
]

#: Starting takes about 6 s here; machines that do other things as well are slower.
START_S = 60.0
STOP_S = 40.0
LAND_S = 60.0


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without the settings of the developer's shell."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAGWHEEL_")}
    cache = {k: v for k, v in os.environ.items() if k == "RAGWHEEL_CACHE_DIR"}
    return {**kept, **cache, **settings}


def ragwheel(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ragwheel.cli", *argv],
        input=stdin,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Polls; fails the test when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)


def processes_of(home: Path) -> set[int]:
    """Every process that was started for this home, by its arguments or environment."""
    needle = str(home).encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:  # it ended meanwhile, or it is somebody else's
            continue
    return found


class Up:
    """One `ragwheel up`, in a process of its own."""

    def __init__(self, home: Path, *without: str, env: Mapping[str, str] | None = None) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self._output = home.with_suffix(".output")
        options = [part for name in without for part in ("--without", name)]
        self._output.unlink(missing_ok=True)
        self.process = spawn(
            module("ragwheel.cli", "up", "--home", str(home), *options),
            self._output,
            clean_environment(**(env or {})),
        )

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._output.read_text("utf-8")

    @property
    def state(self) -> StackState:
        """What it says of itself."""
        state = read_state(self.home)
        assert state is not None
        return state

    def says(self, text: str) -> None:
        """Waits until it prints `text`."""
        wait_until(
            lambda: text in self.output or self.process.poll() is not None, START_S, repr(text)
        )
        assert text in self.output, self.output

    def end(self, number: signal.Signals) -> int:
        """Sends a signal and waits for the end of `up` and of all that it started."""
        self.process.send_signal(number)
        status = self.process.wait(STOP_S)
        wait_until(lambda: not processes_of(self.home), STOP_S, "every process has ended")
        return status


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


def status_of(up: Up) -> dict[str, Any]:
    """`ragwheel status --json`."""
    done = ragwheel("status", "--json", "--home", str(up.home))
    assert done.stdout, done.stderr
    found = orjson.loads(done.stdout)
    assert isinstance(found, dict)
    assert done.returncode == (0 if found["healthy"] else 1)
    return found


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


def test_a_server_that_dies_ends_the_stack_with_its_name_and_what_to_do(
    start: Callable[..., Up], tmp_path: Path
) -> None:
    up = start(tmp_path / "home", "kafka", "intake", "accounts", "grader", "trainer", "llm")
    up.says("Ctrl-C stops everything")
    clickhouse = up.state.process("clickhouse")
    assert clickhouse is not None
    assert clickhouse.pid is not None
    os.kill(clickhouse.pid, signal.SIGKILL)
    assert up.process.wait(STOP_S) == 1
    assert "ragwheel: clickhouse ended by SIGKILL" in up.output
    assert "Start the stack again" in up.output
    assert not processes_of(up.home)
