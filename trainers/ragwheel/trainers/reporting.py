"""A cycle's result in the two forms in which others see it: the event and the report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from ragwheel.models.registry import RegisteredModel
from ragwheel.schemas import identity
from ragwheel.schemas.events import MetricValue, ModelEvent
from ragwheel.trainers.data.examples import DataCard, Snapshot
from ragwheel.trainers.proof.evaluation import Figure, RankShift
from ragwheel.trainers.proof.gate import Verdict


def model_event(
    model: RegisteredModel,
    verdict: Verdict,
    figures: Sequence[Figure],
    snapshot: Snapshot,
    *,
    incumbent_id: str,
    seed: int,
    at: datetime,
) -> ModelEvent:
    """The verdict on a candidate; a cycle that is repeated on equal data makes the same event id.

    `uri` is the folder of the query encoder.
    """
    return ModelEvent(
        event_id=identity.digest(
            "model", model.model_id, incumbent_id, snapshot.snapshot_id, verdict.action
        ),
        model_id=model.model_id,
        incumbent_id=incumbent_id,
        base_model=model.manifest.base_model,
        kind=f"bi-encoder/{model.manifest.lane}",
        action=verdict.action,
        reason=verdict.reason,
        snapshot_id=snapshot.snapshot_id,
        triplets=snapshot.card.triplets,
        labels=sum(snapshot.card.grades.values()),
        seed=seed,
        uri=str(model.query_encoder.resolve()),
        ts=at,
        metrics=tuple(
            MetricValue(
                metric=each.metric,
                k=each.k,
                segment=each.segment,
                system=each.system,
                value=each.interval.value,
                ci_low=each.interval.low,
                ci_high=each.interval.high,
                queries=each.queries,
            )
            for each in figures
        ),
    )


def rollback_event(
    rolled_back: str, serving: str, *, base_model: str, reason: str, at: datetime
) -> ModelEvent:
    """A promotion was taken back.

    Args:
        rolled_back: id of the model that no longer serves.
        serving: what serves instead: a model id, or the base model.
    """
    return ModelEvent(
        event_id=identity.digest("rollback", rolled_back, serving, at.isoformat()),
        model_id=rolled_back,
        incumbent_id=serving,
        base_model=base_model,
        action="rolled_back",
        reason=reason,
        ts=at,
    )


def report_of(
    event: ModelEvent,
    verdict: Verdict,
    figures: Sequence[Figure],
    shifts: Sequence[RankShift],
    card: DataCard,
    stage_seconds: Mapping[str, float],
) -> dict[str, object]:
    """Everything about a decision as JSON values, for people and for later comparisons."""
    return {
        "model_id": event.model_id,
        "incumbent_id": event.incumbent_id,
        "snapshot_id": event.snapshot_id,
        "at": event.ts.isoformat(),
        "verdict": asdict(verdict),
        "figures": [asdict(figure) for figure in figures],
        "rank_shifts": [asdict(shift) for shift in shifts],
        "data": card.as_json(),
        "stage_seconds": dict(stage_seconds),
    }
