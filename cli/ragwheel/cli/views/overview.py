"""`ragwheel status` as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from ragwheel.cli.views.table import table
from ragwheel.operations.overview import Overview


def as_json(overview: Overview) -> str:
    """One object; keys are the names of `Overview`'s fields and properties."""
    topics = [asdict(topic) | {"unaccounted": topic.unaccounted} for topic in overview.topics]
    processes = [asdict(process) | {"alive": process.alive} for process in overview.processes]
    return orjson.dumps(
        asdict(overview)
        | {
            "topics": topics,
            "processes": processes,
            "unaccounted": overview.unaccounted,
            "down": overview.down,
            "healthy": overview.healthy,
        },
        option=orjson.OPT_INDENT_2,
    ).decode()


def as_text(overview: Overview) -> str:
    """Aligned tables, most urgent last, so that it stands above the prompt."""
    parts = [
        _titled("topics", _topics(overview)),
        _titled("tables", _tables(overview)),
        _titled("labels", _labels(overview)),
        _titled("models", _models(overview)),
        _titled("workers", _workers(overview)),
        _verdict(overview),
    ]
    return "\n\n".join(parts)


def _titled(title: str, body: str) -> str:
    return f"{title}\n{body}"


def _topics(overview: Overview) -> str:
    rows = [
        (
            topic.topic,
            topic.produced,
            topic.landed,
            topic.dead_lettered,
            topic.in_flight,
            topic.pending_jobs if topic.topic == "grading" else None,
            topic.unaccounted,
        )
        for topic in overview.topics
    ]
    header = (
        "topic", "produced", "landed", "dead-lettered", "in flight", "ungraded", "unaccounted",
    )  # fmt: skip
    return table(header, rows) if rows else "  none exist yet: `ragwheel topics` creates them"


def _tables(overview: Overview) -> str:
    rows = [
        (each.table, each.rows, "" if each.exact else "with superseded copies")
        for each in overview.tables
        if each.rows
    ]
    return table(("table", "rows", ""), rows) if rows else "  empty"


def _labels(overview: Overview) -> str:
    rows: list[Sequence[object]] = [
        (each.role, each.status, each.grade, each.labels, f"{each.cost_usd:.4f}")
        for each in overview.labels
    ]
    if not rows:
        return "  none yet"
    total = sum(each.labels for each in overview.labels)
    cost = sum(each.cost_usd for each in overview.labels)
    rows.append(("all", "", None, total, f"{cost:.4f}"))
    return table(("role", "status", "grade", "labels", "cost USD"), rows)


def _models(overview: Overview) -> str:
    rows = [
        (
            "*" if model.promoted else "",
            model.model_id,
            model.action,
            f"{model.ts:%Y-%m-%d %H:%M:%S}",
            model.reason,
        )
        for model in overview.models
    ]
    if not rows:
        return "  none trained yet; the base model serves"
    return table(("", "model", "last action", "when (UTC)", "verdict"), rows)


def _workers(overview: Overview) -> str:
    members = {group.worker: group.members for group in overview.groups}
    if not overview.processes:
        rows = [
            (group.worker, f"{group.members} in group {group.group}") for group in overview.groups
        ]
        return table(("worker", "processes"), rows)
    lines = [
        (
            process.name,
            "up" if process.alive else "DOWN",
            str(process.pid or "-"),
            members.get(process.name),
            process.restarts,
            process.log_path,
        )
        for process in overview.processes
    ]
    return table(("process", "state", "pid", "consumers", "restarts", "log"), lines)


def _verdict(overview: Overview) -> str:
    problems = []
    if overview.unaccounted:
        lost = [topic.topic for topic in overview.topics if topic.unaccounted]
        problems.append(f"{overview.unaccounted:,} unaccounted for in {', '.join(lost)}")
    if overview.down:
        problems.append(f"down: {', '.join(overview.down)}")
    return "PROBLEM  " + "; ".join(problems) if problems else "ok  nothing is lost, everything runs"
