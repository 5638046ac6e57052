"""The table that a run ends with, for the terminal. Pure: a result in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ragwheel.demo.result import ALL_SEGMENTS, Comparison, DemoResult, Interval
from ragwheel.demo.text_table import text_table


def summary(result: DemoResult) -> str:
    """Accounts, labels, quality, the verdict in words."""
    return "\n".join(_lines(result))


def _lines(result: DemoResult) -> Iterator[str]:
    yield "Events"
    yield text_table(
        ("topic", "sent", "produced", "landed", "dead-lettered", "in flight", "unaccounted"),
        [
            (
                row.topic,
                "" if row.sent is None else f"{row.sent:,}",
                f"{row.produced:,}",
                f"{row.landed:,}",
                f"{row.dead_lettered:,}",
                f"{row.in_flight:,}",
                f"{row.unaccounted:,}",
            )
            for row in result.accounts
        ],
    )
    counts: Counter[str] = Counter()
    for one in result.dead_letters:
        counts[one.reason] += one.count
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    if reasons:
        yield f"  dead letters, sent on purpose: {reasons}"
    yield ""
    yield from _labels(result)
    if result.judged:
        yield ""
        yield from _quality(result)
    yield ""
    yield from _verdict(result)


def _labels(result: DemoResult) -> Iterator[str]:
    statuses = sorted({status for one in result.labels for status in one.by_status})
    yield "Labels"
    yield text_table(
        ("role", *statuses, "grade 0", "1", "2", "3", "not paid again", "cost (demo price)"),
        [
            (
                one.role,
                *(f"{one.by_status.get(status, 0):,}" for status in statuses),
                *(f"{one.by_grade.get(grade, 0):,}" for grade in range(4)),
                f"{one.cached_pairs:,}",
                f"${one.cost_usd:.2f}",
            )
            for one in result.labels
        ],
    )
    if result.verdict is not None:
        yield f"  triplets trained on: {result.verdict.triplets:,}"


def _quality(result: DemoResult) -> Iterator[str]:
    yield (
        "Quality on held-out questions, before → after with 95 % intervals "
        "(true: by what the demo knows)"
    )
    truth = {(row.metric, row.k, row.segment): row for row in result.truth}
    judged = sorted(result.judged, key=lambda row: (row.segment != ALL_SEGMENTS, row.segment))
    yield text_table(
        ("segment", "metric", "before", "after", "difference", "relative", "queries", "true"),
        [
            (
                "all" if row.segment == ALL_SEGMENTS else row.segment,
                row.name,
                _interval(row.before),
                _interval(row.after),
                _interval(row.delta, sign="+"),
                f"{row.relative:+.1%}",
                f"{row.queries:,}",
                _short(truth.get((row.metric, row.k, row.segment))),
            )
            for row in judged
        ],
        left=2,
    )
    if result.prometheus is not None:
        before, after = result.prometheus
        yield f"  Prometheus, from the trainer's /metrics: recall@10 {before:.3f} → {after:.3f}"


def _verdict(result: DemoResult) -> Iterator[str]:
    if result.verdict is not None:
        yield f"Verdict: {result.verdict.action}. {result.verdict.reason}"
    truth = result.of("truth", "recall", 10)
    if truth is not None:
        yield (
            f"True recall@10 over {truth.queries:,} held-out questions, whose functions were never "
            f"trained on: {truth.before.value:.3f} → {truth.after.value:.3f} "
            f"({truth.relative:+.1%})."
        )
    yield result.grader
    yield from (f"✗ {problem}" for problem in result.problems)


def _interval(one: Interval, sign: str = "") -> str:
    return f"{one.value:{sign}.3f} [{one.low:{sign}.3f}, {one.high:{sign}.3f}]"


def _short(row: Comparison | None) -> str:
    return f"{row.before.value:.3f} → {row.after.value:.3f}" if row else ""
