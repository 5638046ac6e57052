"""Comparing what was sent with what became of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ragwheel.demo.result import DeadLetterSample, TopicAccount


def account_problems(accounts: Sequence[TopicAccount]) -> Iterator[str]:
    """One sentence per topic whose books do not balance."""
    for row in accounts:
        if row.unaccounted:
            yield f"{row.topic}: {row.unaccounted:,} messages are unaccounted for"
        if row.in_flight:
            yield f"{row.topic}: {row.in_flight:,} messages are still in flight"
        if row.sent is not None and row.sent != row.produced:
            yield (
                f"{row.topic}: {row.sent:,} messages were sent and confirmed, "
                f"but the broker counts {row.produced:,}"
            )


def dead_letter_problems(
    expected: Mapping[tuple[str, str], int], found: Sequence[DeadLetterSample]
) -> Iterator[str]:
    """One sentence per (topic, reason) of which other than the expected number was set aside."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in found:
        counts[one.topic, one.reason] += one.count
    for key in sorted({*expected, *counts}):
        if counts[key] != expected.get(key, 0):
            topic, reason = key
            yield (
                f"{topic}: {counts[key]:,} dead letters with the reason {reason}, "
                f"expected {expected.get(key, 0):,}"
            )
