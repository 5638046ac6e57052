"""What is in the model registry, with the verdict on each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from ragwheel.models.registry import RegistryError
from ragwheel.schemas.errors import RagwheelError
from ragwheel.schemas.settings import TrainerSettings

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


@dataclass(frozen=True, slots=True)
class ServedLine:
    """A model that retrievals of a service named.

    Attributes:
        since, until: first and last such retrieval, ISO 8601.
        newest: no other model answered that service since.
    """

    service: str
    model_id: str
    since: str
    until: str
    retrievals: int
    newest: bool


@dataclass(frozen=True, slots=True)
class AllowedModel:
    """A model that was rolled back and may be promoted again."""

    allowed: str


@dataclass(frozen=True, slots=True)
class PrunedModels:
    """What was removed, or would be in a dry run."""

    dry_run: bool
    models: Sequence[str]
    vector_folders: Sequence[str]


def prune_models(settings: TrainerSettings, *, dry_run: bool) -> PrunedModels:
    """Remove the models and vectors that policy no longer keeps; never one that serves."""
    from ragwheel.models.pruning import PruningPolicy, prune
    from ragwheel.models.registry import ModelRegistry
    from ragwheel.trainers.settle import Settlement

    registry = ModelRegistry(settings.model_dir)
    needed = Settlement(registry, lambda _: None).needed()
    gone = prune(
        registry, settings.vector_cache_dir, datetime.now(UTC),
        PruningPolicy(settings.keep_models, settings.keep_vectors_days), needed, dry_run=dry_run,
    )  # fmt: skip
    return PrunedModels(dry_run, gone.models, [str(each) for each in gone.vectors])


def observed_lines(settings: TrainerSettings) -> tuple[list[ServedLine] | None, str]:
    """Which models services were observed to use; None, and why, where nobody can tell."""
    from ragwheel.backends.migrate import open_tables
    from ragwheel.models.serving_seen import seen_models

    try:
        client = open_tables(settings)
    except RagwheelError as error:
        return None, str(error)
    try:
        seen = seen_models(client)
    except RagwheelError as error:
        return None, str(error)
    finally:
        client.close()
    newest = {each.service: each.model_id for each in reversed(seen)}
    return [
        ServedLine(
            each.service, each.model_id, each.since.isoformat(), each.until.isoformat(),
            each.retrievals, newest=newest[each.service] == each.model_id,
        )
        for each in seen
    ], ""  # fmt: skip


def registry_lines(registry: ModelRegistry) -> list[RegistryLine]:
    """All models, the latest verdict first; one whose manifest cannot be read says so.

    Raises:
        RegistryError: the alias cannot be read.
    """
    serving = registry.current_id() or ""
    lines = [_line(registry, model_id, serving=model_id == serving) for model_id in registry.ids()]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _line(registry: ModelRegistry, model_id: str, *, serving: bool) -> RegistryLine:
    try:
        base_model = registry.get(model_id).manifest.base_model
    except RegistryError as error:
        return RegistryLine(model_id, "", serving, verdict="unreadable", reason=str(error))
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
