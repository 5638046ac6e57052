"""`ragwheel grade`."""

from __future__ import annotations

from typing import Annotated

from ragwheel.cli.command import JsonFlag, command, flag, option


@command(
    "ragwheel grade --file searches.jsonl --dry-run",
    "ragwheel grade --file searches.jsonl --to qrels.txt",
    exits={65: "some lines are invalid; nothing was asked", 75: "some pairs have no grade yet"},
)
def run(
    file: Annotated[str, option("PATH", "one query with its chunks per line; - reads stdin")],
    to: Annotated[
        str, option("PATH", "labels as *.jsonl; TREC qrels as anything else")
    ] = "labels.jsonl",
    dry_run: Annotated[
        bool, flag("--dry-run", "print the prompts, their tokens and the cost; call nobody")
    ] = False,
    as_json: JsonFlag = False,
) -> int:
    """Needs no Kafka and no ClickHouse: RAGWHEEL_LLM_API_KEY, RAGWHEEL_LLM_BASE_URL and
    RAGWHEEL_LLM_MODEL say who grades. A line is {"query": "…", "chunks": ["…", {"id": "7", "text":
    "…"}], "segment": "…"}, or a retrieval event. Labels are kept in the *.jsonl (beside qrels in
    PATH.labels.jsonl) as they come: the same command again pays only for what is missing.
    """
    import asyncio
    from datetime import UTC, datetime
    from pathlib import Path

    from ragwheel.cli.output import report, tell
    from ragwheel.operations.emit import open_lines
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.errors import InvalidEventError, TransientError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import GraderSettings

    require_extra("streams")
    from ragwheel.backends.files import replace_file
    from ragwheel.cli.views import file_grades as views
    from ragwheel.grading.offline import file_grading
    from ragwheel.grading.offline.job_lines import read_jobs
    from ragwheel.grading.offline.label_file import LabelFile, qrels

    settings = load(GraderSettings)
    with open_lines(file) as lines:
        jobs, mistakes = read_jobs(lines, datetime.now(UTC))
    for each in mistakes:
        tell(f"line {each.line}: {each.told}")
    if mistakes:
        return InvalidEventError.exit_code
    as_labels = to.endswith(".jsonl")
    labels = LabelFile(Path(to if as_labels else f"{to}.labels.jsonl"), jobs)
    if dry_run:
        planned = asyncio.run(file_grading.plan(settings, jobs, labels))
        report(planned, views.planned_calls, as_json=as_json)
        return 0
    with labels:
        done, made = asyncio.run(file_grading.grade(settings, jobs, labels, tell))
    if not as_labels:
        replace_file(Path(to), qrels(jobs, made).encode())
    report(done, views.file_grades, as_json=as_json)
    return 0 if done.complete else TransientError.exit_code
