"""Reading a finished turn back: what the product says, and what is true."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ragwheel.accounting.reader import AccountReader
from ragwheel.demo.checking import (
    account_problems,
    dead_letter_problems,
    row_problems,
    verdict_problems,
)
from ragwheel.demo.embedding import Embedded
from ragwheel.demo.material import Material
from ragwheel.demo.options import SCALES, DemoOptions
from ragwheel.demo.outcome import DECISIVE, DemoResult, FunnelStage
from ragwheel.demo.playing import Played
from ragwheel.demo.readings import Jobs, Readings
from ragwheel.demo.scrape import Scraped
from ragwheel.demo.truth import compare, held_out, rank_shifts
from ragwheel.models.encoder import load_encoder
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas import metrics
from ragwheel.schemas.events import ModelEvent
from ragwheel.trainers.proof.evaluation import ALL_SEGMENTS, RankShift

_CARD_TRAINED, _CARD_HELD_OUT = ("examples", "train"), ("queries", "gate")


@dataclass(frozen=True, slots=True)
class Told:
    """What a run knows before it reads anything back.

    Attributes:
        grader: what graded, in words.
    """

    started_at: datetime
    options: DemoOptions
    grader: str
    material: Material
    embedded: Embedded
    played: Played


def collect(
    told: Told,
    readings: Readings,
    accounts: AccountReader,
    trainer: Scraped,
    registry: ModelRegistry,
    answered: int,
) -> DemoResult:
    """Read everything back and name what does not fit; durations are the caller's.

    Args:
        answered: queries with a relevant label.
    """
    played, seed = told.played, told.options.seed
    balance = tuple(accounts.read())
    dead_letters = readings.dead_letters()
    verdict = readings.verdict()
    judged = readings.comparisons(verdict.event_id) if verdict else ()
    shifts = _shifts(told, str(registry.get(verdict.model_id).query_encoder)) if verdict else ()
    truth = compare(shifts, seed)
    prometheus = _scraped_recall(trainer)
    latencies = played.searched.latencies_ms
    names = {one.content_hash: one.chunk_id for one in told.material.index}
    return DemoResult(
        started_at=told.started_at,
        scale=told.options.scale,
        seed=seed,
        grader=told.grader,
        chunks=len(told.material.index),
        funnel=_funnel(told, readings.jobs("label"), answered, registry, verdict),
        sent=played.sent,
        accounts=balance,
        dead_letters=dead_letters,
        labels=(readings.labels("label"), readings.labels("judge")),
        judged=judged,
        truth=truth,
        shifts=shifts,
        chunk_ids={shift.chunk_hash: names[shift.chunk_hash] for shift in shifts},
        verdict=verdict,
        prometheus=prometheus,
        search_latency_ms=(statistics.median(latencies), statistics.quantiles(latencies, n=20)[-1]),
        problems=(
            *account_problems(balance, played.sent),
            *dead_letter_problems(
                Counter((event.topic, event.reason) for event in played.broken), dead_letters
            ),
            *row_problems(played, readings.landed()),
            *verdict_problems(verdict, judged, truth, prometheus),
        ),
    )


def _shifts(told: Told, model: str) -> tuple[RankShift, ...]:
    """Ranks of the right chunks by the base model and by the trained one, in the folder `model`."""
    scale = SCALES[told.options.scale]
    chosen = held_out(told.material.questions, scale.gate_share)
    texts = [question.text for question in chosen]
    before = np.stack([told.embedded.query[text] for text in texts])
    after = load_encoder(model, scale.max_tokens).encode(texts, "query")
    return rank_shifts(chosen, before, after, told.embedded.chunks, told.material.index)


def _scraped_recall(trainer: Scraped) -> tuple[float, float] | None:
    labels = {"metric": DECISIVE[0], "k": str(DECISIVE[1]), "segment": ALL_SEGMENTS}
    before = trainer.value(metrics.QUALITY, **labels, system="incumbent")
    after = trainer.value(metrics.QUALITY, **labels, system="candidate")
    return None if before is None or after is None else (before, after)


def _funnel(
    told: Told, jobs: Jobs, answered: int, registry: ModelRegistry, verdict: ModelEvent | None
) -> tuple[FunnelStage, ...]:
    searches, empty = len(told.played.searched.latencies_ms), told.played.searched.zero_results
    asked = len(told.material.questions)
    share = f"{jobs.jobs / searches:.0%} of the searches"
    stages = [
        FunnelStage("searches", searches, f"{asked:,} different questions"),
        FunnelStage("with results", searches - empty, f"{empty:,} found nothing"),
        FunnelStage("sampled for grading", jobs.jobs, share),
        FunnelStage("different questions", jobs.queries, f"{jobs.pairs:,} pairs, each graded once"),
        FunnelStage("answered", answered, "a relevant chunk in their results"),
    ]
    report = (verdict and registry.report(verdict.model_id)) or {}
    if isinstance(card := report.get("data"), dict):
        trained, held = (int(card[group][part]) for group, part in (_CARD_TRAINED, _CARD_HELD_OUT))
        stages.append(FunnelStage("trained on", trained, "the held-out share is left out"))
        stages.append(FunnelStage("held out", held, "decide about the promotion"))
    return tuple(stages)
