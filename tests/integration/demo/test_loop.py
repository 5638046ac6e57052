"""The whole loop, as a user starts it: real Kafka, real ClickHouse engine, real training."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.rigs.children import end, module, spawn
from tests.rigs.demo import DemoRun

pytestmark = [pytest.mark.integration, pytest.mark.slow]

_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("RAGWHEEL_LLM")
}
_LINUX = Path("/proc/self/environ").exists()


def left_behind(home: Path) -> list[str]:
    """Command lines of processes that work for this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            told = command + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(home).encode() in told and process.name != str(os.getpid()):
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture(scope="module")
def turn(demo_run: DemoRun) -> tuple[int, str, Path, dict[str, Any]]:
    """The session's run: exit status, output, its folder, its result."""
    result = demo_run.home / "result.json"
    assert result.exists(), demo_run.output
    return demo_run.exit_status, demo_run.output, demo_run.home, orjson.loads(result.read_bytes())


@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(1_200)
def test_the_loop_ends_with_a_promotion_that_the_truth_confirms(
    turn: tuple[int, str, Path, dict[str, Any]],
) -> None:
    status, text, _, result = turn

    assert result["problems"] == [], text
    assert status == 0, text
    assert result["verdict"]["action"] == "promoted"
    (truth,) = (
        row
        for row in result["truth"]
        if (row["metric"], row["k"], row["segment"]) == ("recall", 10, "*")
    )
    assert truth["delta"]["low"] > 0
    assert truth["queries"] >= 200


@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(1_200)
def test_the_promoted_model_answers_over_http_before_the_run_ends(
    turn: tuple[int, str, Path, dict[str, Any]],
) -> None:
    _, text, folder, result = turn

    served, model = result["served"], result["verdict"]["model_id"]
    assert (served["model_id"], served["promoted"], served["documents_match"]) == (
        model, True, True,
    )  # fmt: skip
    assert any(one["right"] for one in served["after"]), "a question that gained was chosen"
    assert f"model {model} answers, which this run promoted" in text
    assert served["after"][0]["chunk_id"] in (folder / "report.html").read_text()


@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(1_200)
def test_every_message_of_every_topic_is_accounted_for(
    turn: tuple[int, str, Path, dict[str, Any]],
) -> None:
    _, _, _, result = turn

    accounts = {row["topic"]: row for row in result["accounts"]}
    assert set(accounts) == {
        "queries", "retrievals", "feedback", "chunks", "grading", "labels", "spending",
        "models", "deadletters",
    }  # fmt: skip
    for row in accounts.values():
        assert row["produced"] > 0 or row["topic"] == "spending", row  # the stand-in has no limit
        assert row["unaccounted"] == row["in_flight"] == 0, row
        assert row["produced"] == row["landed"] + row["dead_lettered"], row
        assert row["sent"] in (None, row["produced"]), row
    assert sum(row["dead_lettered"] for row in accounts.values()) == 13, "those that were broken"


@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(1_200)
def test_every_sampled_pair_has_one_label_and_equal_questions_are_paid_for_once(
    turn: tuple[int, str, Path, dict[str, Any]],
) -> None:
    _, _, _, result = turn

    training, judge = result["labels"]
    assert (training["role"], judge["role"]) == ("label", "judge")
    for one in (training, judge):
        assert set(one["by_status"]) == {"graded"}
        assert sum(one["by_grade"].values()) == one["by_status"]["graded"]
        assert one["cost_usd"] > 0
    assert training["cached_pairs"] > 0


@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(1_200)
def test_the_report_is_written_and_nothing_else_is_left(
    turn: tuple[int, str, Path, dict[str, Any]],
) -> None:
    _, text, folder, _ = turn

    assert sorted(path.name for path in folder.iterdir()) == [
        "logs", "report.html", "result.json",
    ]  # fmt: skip
    assert "Recall at 10, before and after" in (folder / "report.html").read_text()
    assert f"Report: {folder / 'report.html'}" in text
    if _LINUX:
        assert left_behind(folder) == []


@pytest.mark.timeout(180)
@pytest.mark.skipif(not _LINUX, reason="looks into /proc")
def test_ctrl_c_in_the_middle_leaves_no_process_behind(tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    command = module("ragwheel.cli", "demo", "--scale", "small", "--home", str(tmp_path / "runs"))
    process = spawn(command, out, _ENVIRONMENT)
    try:
        deadline = time.monotonic() + 120
        while "✓ stack" not in out.read_text() and time.monotonic() < deadline:
            assert process.poll() is None, out.read_text()
            time.sleep(0.2)
        assert left_behind(tmp_path / "runs"), "the stack runs"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130, out.read_text()
    finally:
        end(process)

    text = out.read_text()
    assert "Interrupted; every process was stopped." in text
    assert "Traceback" not in text
    assert left_behind(tmp_path / "runs") == []
