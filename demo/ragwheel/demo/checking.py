"""What does not fit: the product's figures against what was sent, and against each other. Pure.

Each check yields one sentence per fault, and nothing when all is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.demo.outcome import Comparison, DeadLetterSample, ServedSearch, overall
from ragwheel.demo.playing import Played
from ragwheel.demo.readings import Landed
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.topics import TopicName


def account_problems(
    accounts: Sequence[TopicAccount], sent: Mapping[TopicName, int]
) -> Iterator[str]:
    """Topics whose accounts do not balance."""
    for row in accounts:
        if row.unaccounted:
            yield f"{row.topic}: {row.unaccounted:,} messages are unaccounted for"
        if row.in_flight:
            yield f"{row.topic}: {row.in_flight:,} messages are still in flight"
        confirmed = sent.get(row.topic, row.produced)
        if confirmed != row.produced:
            yield (
                f"{row.topic}: {confirmed:,} messages were sent and confirmed, "
                f"but the broker counts {row.produced:,}"
            )


def dead_letter_problems(
    expected: Mapping[tuple[str, str], int], found: Sequence[DeadLetterSample]
) -> Iterator[str]:
    """(topic, reason) pairs of which other than the expected number was set aside."""
    counts = Counter({(one.topic, one.reason): one.count for one in found})
    for key in sorted({*expected, *counts}):
        if counts[key] != expected.get(key, 0):
            topic, reason = key
            yield (
                f"{topic}: {counts[key]:,} dead letters with the reason {reason}, "
                f"expected {expected.get(key, 0):,}"
            )


def row_problems(played: Played, landed: Landed) -> Iterator[str]:
    """Rows as readers see them against events as they were sent, copies counted once."""
    if played.lost:
        yield f"the client lost {played.lost:,} events; its log lines say why"
    broken = Counter(event.topic for event in played.broken)
    for topic, sent in played.sent.items():
        expected = sent - broken[topic] - played.copies.get(topic, 0)
        if landed.rows[topic] != expected:
            yield f"{topic}: {landed.rows[topic]:,} rows, expected {expected:,}"
    if landed.zero_results != played.searched.zero_results:
        yield (
            f"{landed.zero_results:,} searches without results landed, "
            f"expected {played.searched.zero_results:,}"
        )
    if landed.duplicate_labels:
        yield f"{landed.duplicate_labels:,} labels are there twice"


def verdict_problems(
    verdict: ModelEvent | None,
    judged: Sequence[Comparison],
    truth: Sequence[Comparison],
    prometheus: tuple[float, float] | None,
) -> Iterator[str]:
    """Why the turn brought no proven improvement, or its figures contradict each other."""
    if verdict is None:
        yield "the trainer reached no verdict"
        return
    if verdict.action != "promoted":
        yield f"nothing was promoted ({verdict.action}): {verdict.reason}"
    measured, true = overall(judged), overall(truth)
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


def serving_problems(served: ServedSearch | None) -> Iterator[str]:
    """Why what was decided is not what a search gets."""
    if served is None:
        yield "the server did not answer"
        return
    if served.model_id != served.expected:
        yield f"the server answers with {served.model_id}, and {served.expected} ought to serve"
    if not served.documents_match:
        yield "the server compares with documents of another space than the index holds"
