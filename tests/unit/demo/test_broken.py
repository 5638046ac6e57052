"""What the demo sends on purpose is broken in exactly the way that it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from ragwheel.demo.broken import BrokenEvent, broken_events
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import DeadLetterReason
from ragwheel.schemas.limits import MAX_MESSAGE_BYTES
from ragwheel.schemas.topics import TOPICS
from ragwheel.schemas.wire import check_time, decode

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BROKEN = list(broken_events(NOW))


def read(event: BrokenEvent) -> None:
    record = decode(TOPICS[event.topic], event.key, event.value)
    check_time(record, NOW, timedelta(days=400), timedelta(hours=1))


@pytest.mark.parametrize("event", BROKEN, ids=[f"{b.topic}-{b.reason}-{i}" for i, b in
                                               enumerate(BROKEN)])  # fmt: skip
def test_each_broken_event_is_refused_for_its_own_reason(event: BrokenEvent) -> None:
    with pytest.raises(InvalidEventError) as refused:
        read(event)

    assert refused.value.reason == event.reason
    assert len(event.value) < MAX_MESSAGE_BYTES, "the broker must take it"


def test_every_reason_that_bytes_alone_can_cause_is_shown() -> None:
    assert {event.reason for event in BROKEN} == set(get_args(DeadLetterReason)) - {
        "processing_failed"
    }
