"""A cycle's result in the two forms in which others see it: the event and the report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from ragwheel.models.registry import RegisteredModel
from ragwheel.schemas import identity
from ragwheel.schemas.events import MetricValue, ModelEvent
from ragwheel.trainers.data.card import DataCard
from ragwheel.trainers.data.snapshot import Snapshot
from ragwheel.trainers.proof.evaluation import METRIC_DEPTH, Figure, RankShift
from ragwheel.trainers.proof.gate import Verdict
from ragwheel.trainers.systems.observed import Agreement

#: Queries shown per segment and direction.
_EXAMPLES = 5


def model_event(
    model: RegisteredModel,
    verdict: Verdict,
    figures: Sequence[Figure],
    snapshot: Snapshot,
    *,
    incumbent_id: str,
    seed: int,
    at: datetime,
    uri: str = "",
    looked_at: Sequence[str] = (),
) -> ModelEvent:
    """The verdict on a candidate; a cycle that is repeated on equal data makes the same event id.

    Args:
        uri: where the model's folder is fetched from, an absolute URL; `model_id` is the digest of
            its content, wherever it is copied to.
        looked_at: hashes of the gate queries that a judge decided on.
    """
    return ModelEvent(
        event_id=identity.digest(
            "model", model.model_id, incumbent_id, snapshot.snapshot_id, verdict.action
        ),
        model_id=model.model_id,
        incumbent_id=incumbent_id,
        base_model=model.manifest.base_model,
        kind=f"{model.manifest.kind}/{model.manifest.lane}",
        action=verdict.action,
        reason=verdict.reason,
        snapshot_id=snapshot.snapshot_id,
        triplets=snapshot.card.triplets,
        labels=sum(snapshot.card.grades.values()),
        seed=seed,
        uri=uri,
        document_fingerprint=model.manifest.document_fingerprint,
        gate_query_hashes=tuple(looked_at),
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


def changes(shifts: Sequence[RankShift]) -> dict[str, dict[str, object]]:
    """Per segment, what came into the first ten results and what fell out of them.

    Counts, and the examples that moved most, by the ratio of ranks: from 40 to 2 says more than
    from 900 to 850.
    """
    found: dict[str, dict[str, object]] = {}
    for segment in sorted({each.segment for each in shifts}):
        of_segment = [each for each in shifts if each.segment == segment]
        better = [each for each in of_segment if each.after <= METRIC_DEPTH < each.before]
        worse = [each for each in of_segment if each.before <= METRIC_DEPTH < each.after]
        better.sort(key=lambda each: each.after / each.before)
        worse.sort(key=lambda each: each.before / each.after)
        found[segment] = {
            "relevant": len(of_segment),
            "came_in": len(better),
            "fell_out": len(worse),
            "better": [asdict(each) for each in better[:_EXAMPLES]],
            "worse": [asdict(each) for each in worse[:_EXAMPLES]],
        }
    return found


def in_force_line(in_force: Mapping[str, object]) -> str:
    """`embedding  length 128, prompts '' and ''; index docs declares …`."""
    declared = in_force["declared"]
    said = "".join(
        f"; index {name or '(unnamed)'} declares {about}"
        for name, about in (declared.items() if isinstance(declared, dict) else ())
    )
    return (
        f"embedding  length {in_force['max_seq_length'] or 'unlimited'}, query prompt "
        f"{in_force['query_prompt']!r}, document prompt {in_force['document_prompt']!r}"
        f"{said or '; no index declares its own'}"
    )


def promotion_event(
    model: RegisteredModel, incumbent_id: str, *, reason: str, uri: str, at: datetime
) -> ModelEvent:
    """A person promoted a model.

    Args:
        incumbent_id: what served until then.
        uri: where the model's folder is fetched from.
    """
    manifest = model.manifest
    return ModelEvent(
        event_id=identity.digest("by hand", model.model_id, incumbent_id, at.isoformat()),
        model_id=model.model_id,
        incumbent_id=incumbent_id,
        base_model=manifest.base_model,
        kind=f"{manifest.kind}/{manifest.lane}",
        action="promoted",
        reason=reason,
        snapshot_id=manifest.snapshot_id,
        seed=manifest.seed,
        uri=uri,
        document_fingerprint=manifest.document_fingerprint,
        ts=at,
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
    *,
    agreement: Agreement | None = None,
    in_force: Mapping[str, object] | None = None,
    said: Sequence[str] = (),
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
        "changes": changes(shifts),
        "agreement": agreement and {**asdict(agreement), "said": str(agreement)},
        "in_force": dict(in_force or {}),
        "said": list(said),
        "data": card.as_json(),
        "stage_seconds": dict(stage_seconds),
    }
