"""What a model is and why it was decided on so; what is different between two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ragwheel.models.canaries import SIDES, CanaryError, read_canaries

if TYPE_CHECKING:
    from ragwheel.models.registry import ModelRegistry

#: Changes of one segment that are told.
_TOLD = 3


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """One figure of a gate with its 95 % interval."""

    metric: str
    segment: str
    system: str
    value: float
    low: float
    high: float
    queries: int


@dataclass(frozen=True, slots=True)
class RankMove:
    """A relevant chunk that moved into the first ten results of a query, or out of them."""

    segment: str
    query: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class CanaryCosine:
    """How alike two models answer the canaries of one side, as cosines."""

    side: str
    least: float
    mean: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of one model.

    Attributes:
        manifest: as it is in the model's folder, under dotted names.
        verdict, reason: of the last gate; empty where none decided.
        better, worse: examples, where the gate had them.
    """

    model_id: str
    serving: bool
    manifest: Mapping[str, str]
    verdict: str
    reason: str
    at: str
    figures: Sequence[MeasuredFigure] = ()
    better: Sequence[RankMove] = ()
    worse: Sequence[RankMove] = ()
    said: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that two models do not have in common; None: one has no such thing."""

    what: str
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """Two models side by side.

    Attributes:
        differences: of manifests and of figures of the same name. Recall of two gates does not
            compare: each is relative to what the systems of its own gate found.
        canary_cosine: per side; empty where one of them has none, or their dimensions differ.
    """

    first: str
    second: str
    differences: Sequence[Difference]
    canary_cosine: Sequence[CanaryCosine] = ()


def explain(registry: ModelRegistry, model_id: str) -> Explanation:
    """Manifest, verdict, figures, and what got better and worse.

    Raises:
        RegistryError: there is no such model.
    """
    model = registry.get(model_id)
    report: Mapping[str, Any] = registry.report(model_id) or {}
    verdict = report.get("verdict", {})
    changes: Mapping[str, Any] = report.get("changes", {})
    return Explanation(
        model_id,
        registry.current_id() == model_id,
        dict(_dotted("", model.manifest.model_dump(mode="json"))),
        str(verdict.get("action", "")),
        str(verdict.get("reason", "")),
        str(report.get("at", "")),
        [_figure(each) for each in report.get("figures", ())],
        _moves(changes, "better"),
        _moves(changes, "worse"),
        [str(each) for each in report.get("said", ())],
    )


def diff(registry: ModelRegistry, first: str, second: str) -> ModelDiff:
    """What is different between two models.

    Raises:
        RegistryError: one of them is not there.
    """
    sides = [_flat(registry, each) for each in (first, second)]
    names = sorted({*sides[0], *sides[1]})
    differences = [
        Difference(name, sides[0].get(name), sides[1].get(name))
        for name in names
        if sides[0].get(name) != sides[1].get(name)
    ]
    return ModelDiff(first, second, differences, _cosines(registry, first, second))


def _figure(raw: Mapping[str, Any]) -> MeasuredFigure:
    interval = raw["interval"]
    return MeasuredFigure(
        f"{raw['metric']}@{raw['k']}", raw["segment"], raw["system"], float(interval["value"]),
        float(interval["low"]), float(interval["high"]), int(raw["queries"]),
    )  # fmt: skip


def _moves(changes: Mapping[str, Any], direction: str) -> list[RankMove]:
    return [
        RankMove(segment, str(each["query"]), int(each["before"]), int(each["after"]))
        for segment, of in sorted(changes.items())
        for each in of.get(direction, ())[:_TOLD]
    ]


def _flat(registry: ModelRegistry, model_id: str) -> dict[str, str]:
    """Manifest and figures under dotted names."""
    explained = explain(registry, model_id)
    found = {**explained.manifest, "verdict": explained.verdict}
    for each in explained.figures:
        found[f"figures.{each.metric} {each.segment} {each.system}"] = f"{each.value:.4f}"
    return found


def _dotted(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _dotted(f"{name}.{key}" if name else str(key), inner)
    else:
        yield name, f"{value:.4g}" if isinstance(value, float) else str(value)


def _cosines(registry: ModelRegistry, first: str, second: str) -> list[CanaryCosine]:
    try:
        ours, theirs = (read_canaries(registry.get(each).folder) for each in (first, second))
    except CanaryError:
        return []
    if any(ours[side].shape != theirs[side].shape for side in SIDES):
        return []
    cosines = {side: np.einsum("ij,ij->i", ours[side], theirs[side]) for side in SIDES}
    return [
        CanaryCosine(side, float(each.min()), float(each.mean())) for side, each in cosines.items()
    ]
