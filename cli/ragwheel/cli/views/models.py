"""`ragwheel models` as a table, and what serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from ragwheel.cli.output import right, table
from ragwheel.operations.explaining import Explanation, ModelDiff
from ragwheel.operations.models import PrunedModels, RegistryLine, ServedLine


@dataclass(frozen=True, slots=True)
class Models:
    """All models, the latest verdict first; with nothing `serving`, the base model is promoted.

    Attributes:
        served: what retrievals say; None: it cannot be read, and `unknown` says why.
    """

    model_dir: str
    base_model: str
    serving: str | None
    models: Sequence[RegistryLine]
    served: Sequence[ServedLine] | None = None
    unknown: str = ""


def tables(report: Models) -> RenderableType:
    """One line per model, the latest verdict first."""
    serving = report.serving or f"the base model ({report.base_model})"
    if not report.models:
        return Group(f"no model in {report.model_dir} yet; {serving} is promoted", *_served(report))
    rows = [
        (
            Text("*", "green") if line.serving else "",
            line.model_id,
            line.verdict or "no verdict",
            right("-" if line.gain is None else f"{line.gain:+.3f}"),
            line.at[:16].replace("T", " "),
            line.reason,
        )
        for line in report.models
    ]
    header = ("", "model", "verdict", "recall@10", "decided (UTC)", "reason")
    return Group(table(header, rows), "", f"promoted: {serving}", *_served(report))


def _served(report: Models) -> list[RenderableType]:
    """What is observed to serve: where, and since when."""
    if report.served is None:
        return [f"served: not known ({report.unknown})" if report.unknown else "served: not known"]
    if not report.served:
        return ["served: no retrieval names a model (docs/instrumentation.md says how)"]
    rows = [
        (
            Text("*", "green") if each.newest else "",
            each.service or "(unnamed)",
            each.model_id,
            each.since[:16].replace("T", " "),
            each.until[:16].replace("T", " "),
            right(f"{each.retrievals:,}"),
        )
        for each in report.served
    ]
    header = ("", "served by", "model", "since (UTC)", "last (UTC)", "retrievals")
    unseen = report.serving and all(each.model_id != report.serving for each in report.served)
    said = [f"{report.serving} is promoted and not observed"] if unseen else []
    return ["", table(header, rows), *said]


def explanation(report: Explanation) -> RenderableType:
    """Verdict, figures, what moved, and how it is used."""
    serving = ", promoted" if report.serving else ""
    manifest = report.manifest
    lines = [
        f"model {report.model_id}{serving}",
        f"of {manifest['base_model']}, {manifest['dimension']} dimensions, "
        f"snapshot {manifest['snapshot_id']}, seed {manifest['seed']}",
        f"verdict: {report.verdict or 'none'}{f': {report.reason}' if report.reason else ''}",
        *report.said,
    ]
    rows = [
        (
            each.metric,
            each.segment,
            each.system,
            right(f"{each.value:.3f}"),
            right(f"{each.low:.3f} to {each.high:.3f}"),
            right(f"{each.queries:,}"),
        )
        for each in report.figures
    ]
    header = ("figure", "segment", "system", "value", "95 %", "queries")
    parts: list[RenderableType] = ["\n".join(lines)]
    if rows:
        parts += ["", table(header, rows)]
    for title, moves in (("better", report.better), ("worse", report.worse)):
        if moves:
            parts += ["", f"{title}: rank before and after"]
            parts += [f"  {m.before} → {m.after}  [{m.segment}] {m.query}" for m in moves]
    return Group(*parts)


def difference(report: ModelDiff) -> RenderableType:
    """What is different, one line each."""
    rows = [(each.what, each.first or "-", each.second or "-") for each in report.differences]
    parts: list[RenderableType] = [
        table(("", report.first, report.second), rows) if rows else "no difference in what is told"
    ]
    parts += [
        f"canaries, {each.side}: cosine {each.least:.4f} at least, {each.mean:.4f} on average"
        for each in report.canary_cosine
    ]
    return Group(*parts)


def pruned(report: PrunedModels) -> str:
    """What went, or would go."""
    verb = "would remove" if report.dry_run else "removed"
    names = [*report.models, *report.vector_folders]
    head = f"{verb} {len(report.models)} models, {len(report.vector_folders)} folders of vectors"
    return "\n".join([head, *(f"  {name}" for name in names)])
