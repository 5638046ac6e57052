"""What the trainer shows on /metrics."""

from __future__ import annotations

from collections.abc import Sequence

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas import metrics
from ragwheel.trainers.cycle import CycleResult
from ragwheel.trainers.proof.evaluation import METRICS, Figure


def show_progress(telemetry: Telemetry, available: int, threshold: int) -> None:
    """How far the next training is."""
    telemetry.set(metrics.TRAIN_QUERIES, available)
    telemetry.set(metrics.TRAIN_THRESHOLD, threshold)


def show_serving(telemetry: Telemetry, registry: ModelRegistry, base_model: str) -> None:
    """Which model is promoted now."""
    current = registry.current()
    telemetry.clear(metrics.PROMOTED_MODEL)
    telemetry.set(
        metrics.PROMOTED_MODEL,
        1,
        model_id=current.model_id if current else base_model,
        base_model=current.manifest.base_model if current else base_model,
    )


def show_unseen(telemetry: Telemetry, seconds: float, limit_hours: float) -> None:
    """How long a promoted model has been waiting for its first query."""
    telemetry.set(metrics.PROMOTED_UNSEEN, seconds)
    telemetry.set(metrics.PROMOTED_UNSEEN_LIMIT, limit_hours * 3_600)


def show_result(telemetry: Telemetry, result: CycleResult) -> None:
    """Quality by the last gate; figures of an earlier gate disappear with its segments."""
    telemetry.inc(metrics.TRAIN_CYCLES, verdict=result.verdict.action)
    telemetry.set(metrics.TRIPLETS, result.snapshot.card.triplets)
    for stage, seconds in result.stage_seconds.items():
        telemetry.set(metrics.TRAIN_STAGE_SECONDS, seconds, stage=stage)
    show_figures(telemetry, result.figures)


def show_figures(telemetry: Telemetry, figures: Sequence[Figure]) -> None:
    """Quality by one gate; without figures that of an earlier one stays."""
    if not figures:
        return
    families = (metrics.QUALITY, metrics.QUALITY_LOW, metrics.QUALITY_HIGH)
    for family in (*families, metrics.GATE_QUERIES):
        telemetry.clear(family)
    first_metric, first_k = METRICS[0]
    for figure in figures:
        labels = {
            "metric": figure.metric,
            "k": str(figure.k),
            "segment": figure.segment,
            "system": figure.system,
        }
        interval = figure.interval
        for family, value in zip(
            families, (interval.value, interval.low, interval.high), strict=True
        ):
            telemetry.set(family, value, **labels)
        if (figure.metric, figure.k, figure.system) == (first_metric, first_k, "delta"):
            telemetry.set(metrics.GATE_QUERIES, figure.queries, segment=figure.segment)
