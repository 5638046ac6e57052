"""What serving shows on /metrics. Every family of the server is set here."""

from __future__ import annotations

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics
from ragwheel.serving.contracts import InService


def show_answer(telemetry: Telemetry, route: str, code: int, seconds: float) -> None:
    """One answered request."""
    telemetry.inc(metrics.SERVING_REQUESTS, route=route, code=str(code))
    telemetry.observe(metrics.SERVING_SECONDS, seconds, route=route)


def show_in_service(telemetry: Telemetry, generation: InService) -> None:
    """Which model answers, in the space of which documents."""
    telemetry.clear(metrics.SERVED_MODEL)
    telemetry.set(
        metrics.SERVED_MODEL,
        1,
        model=generation.model_id,
        documents=generation.document_fingerprint,
    )


def show_swap(telemetry: Telemetry, outcome: str) -> None:
    """One try to get another model into service: `served` or `refused`."""
    telemetry.inc(metrics.SERVING_SWAPS, outcome=outcome)


def show_refusal(telemetry: Telemetry, reason: str) -> None:
    """A model did not get into service; `reason` is one of few words."""
    telemetry.inc(metrics.SERVING_REFUSALS, reason=reason)


def show_shadow(telemetry: Telemetry, candidate: str, overlap: float) -> None:
    """Share of the first ten that a candidate and the model in service have in common, lately."""
    telemetry.set(metrics.SERVING_SHADOW_OVERLAP, overlap, candidate=candidate)


def show_batch(telemetry: Telemetry, texts: int, waiting: int) -> None:
    """A batch begins, and so many texts still wait."""
    telemetry.inc(metrics.SERVING_BATCHES)
    telemetry.set(metrics.SERVING_BATCH_TEXTS, texts)
    telemetry.set(metrics.SERVING_WAITING_TEXTS, waiting)


def show_dropped(telemetry: Telemetry, texts: int) -> None:
    """Texts whose caller hung up before their turn."""
    telemetry.inc(metrics.SERVING_DROPPED, texts)


def show_lookups(telemetry: Telemetry, hits: int, misses: int) -> None:
    """Texts that were found among the recent vectors, and not."""
    telemetry.inc(metrics.SERVING_CACHE_LOOKUPS, hits, outcome="hit")
    telemetry.inc(metrics.SERVING_CACHE_LOOKUPS, misses, outcome="miss")


def show_encode_errors(telemetry: Telemetry, texts: int) -> None:
    """Texts on which a model failed, or of which it made numbers that are none."""
    telemetry.inc(metrics.SERVING_ENCODE_ERRORS, texts)
