"""What may be a better deal than embedding a corpus anew, in numbers of our own gates. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]
"""What a gate measured of a model, as the registry keeps it."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Another way.

    Attributes:
        said: in words, with its numbers.
        command: what takes it, or shows more.
    """

    way: str
    said: str
    command: str


def better_deals(reports: Mapping[str, Report], hours: float) -> list[Advice]:
    """The query lane, and reranking where a gate has figures of the order of results.

    Args:
        reports: by model id.
        hours: that the re-embedding takes.
    """
    ordering = _ordering(reports)
    return [_query_lane(reports, hours), *([ordering] if ordering else [])]


def _query_lane(reports: Mapping[str, Report], hours: float) -> Advice:
    proven = {
        model_id: report
        for model_id, report in reports.items()
        if report["verdict"]["action"] == "promoted" and report["verdict"]["gain_low"] > 0
    }
    if not proven:
        return Advice(
            "query lane",
            "no gate has proven a gain of the query side yet; it trains in minutes and leaves the "
            "index as it is",
            "ragwheel train",
        )
    best = max(proven, key=lambda model_id: proven[model_id]["verdict"]["gain_low"])
    verdict = proven[best]["verdict"]
    minutes = sum(proven[best]["stage_seconds"].values()) / 60
    return Advice(
        "query lane",
        f"model {best} gained {verdict['gain']:+.3f} recall@10 (at least "
        f"{verdict['gain_low']:+.3f}, {verdict['queries']:,} queries) in a cycle of {minutes:.1f} "
        f"minutes, and the index stayed as it was; this takes {hours:.2g} hours for a gain that "
        "is not known before `ragwheel reembed verify`",
        f"ragwheel models explain {best}",
    )


def _ordering(reports: Mapping[str, Report]) -> Advice | None:
    """How much of what is found stands low; None where no gate measured it."""
    if not reports:
        return None
    newest = max(reports, key=lambda model_id: str(reports[model_id]["at"]))
    values = {
        (figure["metric"], figure["k"]): float(figure["interval"]["value"])
        for figure in reports[newest]["figures"]
        if figure["system"] == "incumbent" and figure["segment"] == "*"
    }
    if not {("recall", 1), ("recall", 10)} <= values.keys():
        return None
    found, first = values["recall", 10], values["recall", 1]
    return Advice(
        "reranking",
        f"at the gate of {newest} the first 10 results held {found:.3f} of what is relevant, and "
        f"the first place {first:.3f}: {found - first:.3f} is found and stands lower, which is "
        f"what reranking can gain at the top; the {max(0.0, 1 - found):.3f} that is not found "
        "needs another model",
        "ragwheel leaderboard",
    )
