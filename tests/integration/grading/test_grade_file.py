"""`ragwheel grade` over the test LLM: a file in, labels or qrels out, nothing paid twice."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ragwheel.grading.offline.file_grading import grade
from ragwheel.grading.offline.job_lines import FileJob, read_jobs
from ragwheel.grading.offline.label_file import LabelFile
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import GraderSettings
from ragwheel.stack.llm import LlmServer, OverlapGrader
from ragwheel.stack.llm.faults import parse_fault
from ragwheel.stack.serving import listening

pytestmark = pytest.mark.integration
_LINE = {
    "id": "q7",
    "query": "green file",
    "chunks": ["red house", {"id": "right", "text": "a green file"}],
}


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LlmServer]:
    made = LlmServer(OverlapGrader(), ("m",))
    async with listening(made.runner()) as made.port:
        monkeypatch.setenv("RAGWHEEL_LLM_BASE_URL", made.base_url)
        monkeypatch.setenv("RAGWHEEL_LLM_API_KEY", "none")
        monkeypatch.setenv("RAGWHEEL_LLM_MODEL", "m")
        yield made


async def ragwheel(*words: str) -> Any:
    """What the command prints with `--json`, once it has ended well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ragwheel.cli", *words, "--json", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


async def test_a_file_is_graded_once_and_then_known(server: LlmServer, tmp_path: Path) -> None:
    file, to = tmp_path / "searches.jsonl", tmp_path / "qrels.txt"
    file.write_text(json.dumps(_LINE))
    line = ["grade", "--file", str(file), "--to", str(to)]
    planned = await ragwheel(*line, "--dry-run")
    assert [call["passages"] for call in planned["calls"]] == [2]
    assert "a green file" in planned["calls"][0]["user"]
    assert not to.exists()

    first = await ragwheel(*line)
    assert (first["pairs"], first["reused"]) == ({"graded": 2}, 0)
    rows = {row.split()[2]: row.split() for row in to.read_text().splitlines()}
    assert rows["right"] == ["q7", "0", "right", "3"]

    again = await ragwheel(*line)
    assert (again["pairs"], again["reused"], again["cost_usd"]) == ({"graded": 2}, 2, 0.0)
    assert len((tmp_path / "qrels.txt.labels.jsonl").read_text().splitlines()) == 2


def settings(server: LlmServer, folder: Path, **changes: Any) -> GraderSettings:
    """One call at a time, each with one passage."""
    return load(
        GraderSettings,
        llm_base_url=server.base_url, llm_api_key="none", llm_model="m", llm_concurrency=1,
        llm_passages_per_call=1, grader_decoys=0, llm_cache_dir=folder / "llm", **changes,
    )  # fmt: skip


def jobs_of(count: int) -> list[FileJob]:
    lines = [json.dumps({"query": f"file {number}", "chunks": ["a"]}) for number in range(count)]
    jobs, _ = read_jobs([line.encode() for line in lines], datetime(2026, 1, 1, tzinfo=UTC))
    return jobs


async def test_a_key_that_is_revoked_in_mid_file_ends_the_run_and_costs_no_label(
    server: LlmServer, tmp_path: Path
) -> None:
    jobs, path = jobs_of(5), tmp_path / "labels.jsonl"

    def revoke(_: str) -> None:
        server.faults.script(parse_fault({"kind": "unauthorized"}), 1_000)

    with (
        LabelFile(path, jobs) as labels,
        pytest.raises(UnavailableError, match=r"m takes no calls.*what was graded is kept"),
    ):
        await grade(settings(server, tmp_path), jobs, labels, revoke)
    assert [json.loads(line)["status"] for line in path.read_text().splitlines()] == ["graded"]
    server.faults.clear()
    with LabelFile(path, jobs) as labels:
        report, _ = await grade(settings(server, tmp_path), jobs, labels, lambda _: None)
    assert (report.complete, report.pairs, report.reused) == (True, {"graded": 5}, 1)


async def test_a_run_never_reserves_more_than_its_limit_and_the_next_goes_on(
    server: LlmServer, tmp_path: Path
) -> None:
    jobs, path = jobs_of(12), tmp_path / "labels.jsonl"
    limited = settings(server, tmp_path, daily_budget_tokens=8_000)
    with LabelFile(path, jobs) as labels:
        report, _ = await grade(limited, jobs, labels, lambda _: None)
    assert not report.complete
    assert report.pairs.keys() == {"graded", "over_budget"}
    assert server.tally.input_tokens + server.tally.output_tokens <= 8_000
    with LabelFile(path, jobs) as labels:
        more, _ = await grade(settings(server, tmp_path), jobs, labels, lambda _: None)
    assert (more.complete, more.reused) == (True, report.pairs["graded"])


def test_every_wrong_line_is_named_with_its_fix() -> None:
    lines = [b"x", b"[]", b'{"query": "q"}', b'{"event": "model"}', b'{"query":"q","chunks":["a"]}']
    jobs, mistakes = read_jobs(lines, datetime(2026, 1, 1, tzinfo=UTC))
    assert [each.line for each in jobs] == [5]
    assert [each.line for each in mistakes] == [1, 2, 3, 4]
    assert all('write {"query"' in each.told for each in mistakes)
