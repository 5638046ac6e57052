"""What is in the model registry, with the verdict on each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ragwheel.models.registry import ModelRegistry


@dataclass(frozen=True, slots=True)
class RegistryLine:
    """One trained model.

    Attributes:
        serving: it is the promoted one.
        at: when the gate decided, ISO 8601; empty if it did not get that far.
        gain: mean difference of recall@10 to what served then; None without a judged gate.
        reason: the verdict in words.
    """

    model_id: str
    base_model: str
    serving: bool
    at: str = ""
    verdict: str = ""
    gain: float | None = None
    reason: str = ""


def registry_lines(registry: ModelRegistry) -> list[RegistryLine]:
    """All models, the latest verdict first.

    Raises:
        RegistryError: a manifest or the alias cannot be read.
    """
    current = registry.current()
    serving = current.model_id if current else ""
    lines = [_line(registry, model_id, serving=model_id == serving) for model_id in registry.ids()]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _line(registry: ModelRegistry, model_id: str, *, serving: bool) -> RegistryLine:
    base_model = registry.get(model_id).manifest.base_model
    report = registry.report(model_id)
    if report is None:
        return RegistryLine(model_id, base_model, serving)
    verdict = cast(Mapping[str, Any], report["verdict"])
    return RegistryLine(
        model_id,
        base_model,
        serving,
        at=str(report["at"]),
        verdict=str(verdict["action"]),
        gain=float(verdict["gain"]) if verdict["queries"] else None,
        reason=str(verdict["reason"]),
    )
