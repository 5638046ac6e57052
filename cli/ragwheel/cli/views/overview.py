"""`ragwheel status` as tables, most urgent last, so that it stands above the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ragwheel.accounting.accounts import Gap
from ragwheel.cli.output import right, table
from ragwheel.operations.overview import BudgetState, Overview


def tables(overview: Overview) -> Group:
    """Topics, tables, labels, unfinished work, models, workers, and the verdict."""
    bodies = {
        "topics": _topics(overview),
        "tables": _tables(overview),
        "labels": _labels(overview),
        **({"unfinished": _unfinished(overview)} if overview.unfinished else {}),
        **({"dead letters": _dead_letters(overview)} if overview.dead_letters else {}),
        **({"budget": _budget(overview.budget)} if overview.budget else {}),
        "models": _models(overview),
        "workers": _workers(overview),
    }
    parts = (part for title, body in bodies.items() for part in (Text(title, "bold"), body, ""))
    return Group(*parts, _verdict(overview))


def _topics(overview: Overview) -> RenderableType:
    header = ("topic", "produced", "landed", "dead", "in flight", "ungraded", "unaccounted")
    rows = [
        (
            topic.topic,
            topic.produced,
            topic.landed,
            topic.dead_lettered,
            topic.in_flight,
            topic.pending_jobs if topic.topic == "grading" else None,
            right(f"{topic.unaccounted:,}", "bold red" if topic.unaccounted else ""),
        )
        for topic in overview.topics
    ]
    if not rows:
        return "  none exist yet: `ragwheel topics` creates them"
    lost = [
        Text(f"  {topic.topic}[{gap.partition}]: {_offsets(gap)} unaccounted", "red")
        for topic in overview.topics
        for gap in topic.gaps
    ]
    given_up = [
        Text(f"  {topic.topic}: {topic.written_off:,} lost and written off", "dim")
        for topic in overview.topics
        if topic.written_off
    ]
    return Group(table(header, rows), *lost, *given_up)


def _offsets(gap: Gap) -> str:
    last = gap.until - 1
    return f"offsets {gap.start:,} to {last:,}" if last > gap.start else f"offset {last:,}"


def _tables(overview: Overview) -> RenderableType:
    rows = [
        (each.table, each.rows, "" if each.exact else "with superseded copies")
        for each in overview.tables
        if each.rows
    ]
    return table(("table", "rows", ""), rows) if rows else "  empty"


def _labels(overview: Overview) -> RenderableType:
    rows: list[Sequence[object]] = [
        (each.role, each.model, each.status, each.grade, each.labels, right(f"{each.cost_usd:.4f}"))
        for each in overview.labels
    ]
    if not rows:
        return "  none yet"
    total = sum(each.labels for each in overview.labels)
    cost = sum(each.cost_usd for each in overview.labels)
    rows.append(("all", "", "", None, total, right(f"{cost:.4f}")))
    return table(("role", "model", "status", "grade", "labels", "cost USD"), rows)


def _unfinished(overview: Overview) -> RenderableType:
    rows = [
        (each.status, each.labels, f"{each.oldest:%Y-%m-%d %H:%M}") for each in overview.unfinished
    ]
    return table(("status", "labels without a grade", "oldest (UTC)"), rows)


def _budget(budget: BudgetState) -> RenderableType:
    usd = f"/ {budget.limit_usd:g}" if budget.limit_usd else "no limit"
    tokens = f"/ {budget.limit_tokens:,}" if budget.limit_tokens else "no limit"
    header = ("claimed today", "", "limit")
    rows = [
        ("USD", right(f"{budget.claimed_usd:.4f}"), usd),
        ("tokens", budget.claimed_tokens, tokens),
        ("pace of sampling", right(f"{budget.pace:.2f}"), ""),
    ]
    return table(header, rows)


def _dead_letters(overview: Overview) -> RenderableType:
    rows = [(each.reason, each.last_hour, each.last_day) for each in overview.dead_letters]
    return table(("reason", "last hour", "last day"), rows)


def _models(overview: Overview) -> RenderableType:
    rows = [
        (
            Text("*", "green") if model.promoted else "",
            model.model_id,
            model.action,
            f"{model.ts:%Y-%m-%d %H:%M}",
            model.reason,
        )
        for model in overview.models
    ]
    if not rows:
        return "  none trained yet; the base model serves"
    return table(("", "model", "last action", "when (UTC)", "verdict"), rows)


def _workers(overview: Overview) -> RenderableType:
    members = {group.worker: group.members for group in overview.groups}
    if not overview.processes:
        groups = [(group.worker, group.members, group.group) for group in overview.groups]
        return table(("worker", "processes", "consumer group"), groups)
    rows = [
        (
            process.name,
            Text("up", "green") if process.alive else Text("DOWN", "bold red"),
            right(process.pid or "-"),
            members.get(process.name),
            process.restarts,
        )
        for process in overview.processes
    ]
    return table(("process", "state", "pid", "consumers", "restarts"), rows)


def _verdict(overview: Overview) -> Text:
    problems = []
    if overview.unaccounted:
        lost = [topic.topic for topic in overview.topics if topic.unaccounted]
        problems.append(f"{overview.unaccounted:,} unaccounted for in {', '.join(lost)}")
    if overview.down:
        logs = " ".join(overview.down)
        told = f" (see `ragwheel logs {logs}`)" if overview.processes else ""
        problems.append(f"down: {', '.join(overview.down)}{told}")
    notes = _notes(overview)
    if problems:
        return Text.assemble(("PROBLEM", "bold red"), "  ", "; ".join([*problems, *notes]))
    fine = "nothing is lost, everything runs"
    if not notes:
        return Text.assemble(("ok", "bold green"), f"  {fine}")
    return Text.assemble(("ok, but", "bold yellow"), "  ", "; ".join([fine, *notes]))


def _notes(overview: Overview) -> list[str]:
    """What is no fault of the pipeline, and yet not as anybody wants it."""
    notes = []
    hour = {each.reason: each.last_hour for each in overview.dead_letters if each.last_hour}
    if dead := hour or {each.reason: each.last_day for each in overview.dead_letters}:
        notes.append(
            f"{sum(dead.values()):,} dead letters in the last {'hour' if hour else 'day'} "
            f"({', '.join(dead)}): `ragwheel replay --dry-run` tells what can be sent again"
        )
    notes += [
        f"{each.model} takes no calls ({each.reason}): {each.process} keeps its jobs in Kafka and "
        "goes on by itself"
        for each in overview.held
    ]
    if overview.stand_in_labels:
        notes.append(f"{overview.stand_in_labels:,} labels are a stand-in's, not an LLM's")
    elif overview.stand_in:
        notes.append("a stand-in grades, not an LLM")
    return notes
