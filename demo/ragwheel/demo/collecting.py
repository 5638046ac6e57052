"""Reading a finished turn back, and checking it: what the product says against what was sent."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ragwheel.accounting.ledger import AccountReader
from ragwheel.demo.accounts import account_problems, dead_letter_problems
from ragwheel.demo.broken import BrokenEvent
from ragwheel.demo.material import Material
from ragwheel.demo.options import DemoOptions
from ragwheel.demo.playing import Replayed
from ragwheel.demo.readings import Decision, Readings
from ragwheel.demo.result import (
    ALL_SEGMENTS,
    Comparison,
    DemoResult,
    RankShift,
    TimedStep,
    TopicAccount,
)
from ragwheel.demo.scrape import Scraped
from ragwheel.demo.search import Vectors
from ragwheel.demo.truth import compare, held_out, rank_shifts
from ragwheel.models.encoder import TextEncoder, load_encoder
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas import metrics
from ragwheel.schemas.topics import TopicName

_CARD_TRAINED, _CARD_HELD_OUT = ("examples", "train"), ("queries", "gate")
#: The improvement that a run has to show: the gate's proof is asked of the truth as well.
_METRIC = ("recall", 10)


@dataclass(frozen=True, slots=True)
class Played:
    """What a run knows by itself.

    Attributes:
        grader: what graded, in words.
        sent: messages that the broker confirmed, per service topic.
        copies: events among them that were sent before.
        broken: messages among them that must be set aside.
        lost: events that the client could not deliver.
        gate_share: share of questions that the trainer holds out.
    """

    started_at: datetime
    options: DemoOptions
    grader: str
    material: Material
    replayed: Replayed
    sent: Mapping[TopicName, int]
    copies: Mapping[TopicName, int]
    broken: tuple[BrokenEvent, ...]
    lost: int
    gate_share: float


def collect(
    played: Played,
    readings: Readings,
    books: AccountReader,
    trainer: Scraped,
    embedded: tuple[TextEncoder, Vectors, Vectors],
    registry: ModelRegistry,
) -> DemoResult:
    """Read everything back and name what does not fit; durations are the caller's."""
    accounts = _accounts(books, played)
    dead_letters = readings.dead_letters()
    decision = readings.decision()
    judged = readings.comparisons(decision.event_id) if decision else ()
    shifts = _shifts(played, decision, embedded)
    seed = played.options.seed
    truth = compare(shifts, seed)
    prometheus = _scraped_recall(trainer)
    latencies = played.replayed.latencies_ms
    return DemoResult(
        started_at=played.started_at,
        scale=played.options.scale,
        seed=seed,
        grader=played.grader,
        chunks=len(played.material.chunks),
        funnel=_funnel(played, readings, registry, decision),
        accounts=accounts,
        dead_letters=dead_letters,
        labels=(readings.labels("label"), readings.labels("judge")),
        judged=judged,
        truth=truth,
        shifts=shifts,
        verdict=decision.verdict if decision else None,
        prometheus=prometheus,
        steps=(),
        search_latency_ms=(
            statistics.median(latencies),
            statistics.quantiles(latencies, n=20)[-1],
        ),
        problems=(
            *account_problems(accounts),
            *dead_letter_problems(
                Counter((event.topic, event.reason) for event in played.broken), dead_letters
            ),
            *_row_problems(played, readings),
            *verdict_problems(decision, judged, truth, prometheus),
        ),
    )


def verdict_problems(
    decision: Decision | None,
    judged: Sequence[Comparison],
    truth: Sequence[Comparison],
    prometheus: tuple[float, float] | None,
) -> Iterator[str]:
    """Why the turn brought no proven improvement, or its figures contradict each other."""
    if decision is None:
        yield "the trainer reached no verdict"
        return
    if decision.verdict.action != "promoted":
        yield f"nothing was promoted ({decision.verdict.action}): {decision.verdict.reason}"
    measured = _overall(judged)
    true = _overall(truth)
    if true is None or true.delta.low <= 0:
        yield "the improvement of true recall@10 is not proven: its 95 % interval reaches 0"
    if measured is None:
        yield "the verdict has no recall@10"
        return
    published = (measured.before.value, measured.after.value)
    if prometheus is None:
        yield "the trainer publishes no recall@10 in its /metrics"
    elif max(abs(a - b) for a, b in zip(prometheus, published, strict=True)) > 1e-6:
        yield f"/metrics says recall@10 {prometheus}, ClickHouse {published}"


def _overall(rows: Sequence[Comparison]) -> Comparison | None:
    for row in rows:
        if (row.metric, row.k) == _METRIC and row.segment == ALL_SEGMENTS:
            return row
    return None


def _accounts(books: AccountReader, played: Played) -> tuple[TopicAccount, ...]:
    return tuple(
        TopicAccount(
            one.topic,
            one.produced,
            one.landed,
            one.dead_lettered,
            one.in_flight,
            one.unaccounted,
            played.sent.get(one.topic),
        )
        for one in books.read()
    )


def _row_problems(played: Played, readings: Readings) -> Iterator[str]:
    """Rows as readers see them against events as they were sent, copies counted once."""
    if played.lost:
        yield f"the client lost {played.lost:,} events; its log lines say why"
    landed = readings.landed()
    broken = Counter(event.topic for event in played.broken)
    rows: dict[TopicName, int] = {
        "queries": landed.queries,
        "retrievals": landed.retrievals,
        "feedback": landed.feedback,
        "chunks": landed.chunks,
    }
    for topic, count in rows.items():
        expected = played.sent[topic] - broken[topic] - played.copies.get(topic, 0)
        if count != expected:
            yield f"{topic}: {count:,} rows, expected {expected:,}"
    if landed.zero_results != played.replayed.zero_results:
        yield (
            f"{landed.zero_results:,} searches without results landed, "
            f"expected {played.replayed.zero_results:,}"
        )
    if twice := readings.duplicate_labels():
        yield f"{twice:,} labels are there twice"


def _shifts(
    played: Played, decision: Decision | None, embedded: tuple[TextEncoder, Vectors, Vectors]
) -> tuple[RankShift, ...]:
    """Ranks of the right chunks by the base model and by the trained one."""
    if decision is None:
        return ()
    base, chunks, questions = embedded
    everything = played.material.questions
    chosen = held_out(everything, played.gate_share)
    row_of_question = {question.text: row for row, question in enumerate(everything)}
    before = questions[[row_of_question[question.text] for question in chosen]]
    trained = load_encoder(decision.uri, base.model.get_max_seq_length() or 128)
    return rank_shifts(
        chosen,
        before,
        trained.encode([question.text for question in chosen]),
        chunks,
        {chunk.chunk_id: row for row, chunk in enumerate(played.material.chunks)},
    )


def _scraped_recall(trainer: Scraped) -> tuple[float, float] | None:
    metric, k = _METRIC
    found = [
        trainer.value(metrics.QUALITY, metric=metric, k=str(k), segment=ALL_SEGMENTS, system=system)
        for system in ("incumbent", "candidate")
    ]
    before, after = found
    return None if before is None or after is None else (before, after)


def _funnel(
    played: Played, readings: Readings, registry: ModelRegistry, decision: Decision | None
) -> tuple[TimedStep, ...]:
    searches = len(played.replayed.latencies_ms)
    jobs = readings.jobs("label")
    stages = [
        TimedStep("searches", searches, f"{len(played.material.questions):,} different questions"),
        TimedStep(
            "with results",
            searches - played.replayed.zero_results,
            f"{played.replayed.zero_results:,} found nothing",
        ),
        TimedStep("sampled for grading", jobs.jobs, f"{jobs.jobs / searches:.0%} of the searches"),
        TimedStep("different questions", jobs.queries, f"{jobs.pairs:,} pairs, each graded once"),
        TimedStep("answered", readings.relevant_queries(), "a relevant chunk among their results"),
    ]
    report = registry.report(decision.verdict.model_id) if decision else None
    card = report.get("data") if report else None
    if isinstance(card, dict):
        trained, held = (int(card[group][part]) for group, part in (_CARD_TRAINED, _CARD_HELD_OUT))
        stages.append(TimedStep("trained on", trained, "the held-out share is left out"))
        stages.append(TimedStep("held out", held, "decide about the promotion"))
    return tuple(stages)
