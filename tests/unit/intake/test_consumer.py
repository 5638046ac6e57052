"""Group membership: when batches end, what is committed, what a rebalance does to both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from tests.unit.intake.fakes import FakeBroker

from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.consumer import GroupMember
from ragwheel.intake.following import Following
from ragwheel.intake.offsets import Span
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.topics import TopicName
from ragwheel.schemas.wire import Received


class FakeMessage:
    """What confluent-kafka hands out."""

    def __init__(self, partition: int, offset: int, error: KafkaError | None = None) -> None:
        self._at = (partition, offset)
        self._error = error

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return "t.queries"

    def partition(self) -> int:
        return self._at[0]

    def offset(self) -> int:
        return self._at[1]

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"12345678"

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return (1, 1_000)


TOPICS: tuple[TopicName, ...] = ("queries", "deadletters")

Step = list[FakeMessage] | Callable[[], None]


class FakeConsumer:
    """Plays a script: each `consume` is its next step; the end of the script stops the member."""

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.polls: list[Step] = []
        self.committed: list[dict[int, int]] = []
        self.commit_faults: list[KafkaError] = []
        self.flow: list[str] = []
        self.closed = False
        self.at_end: Callable[[], None] = lambda: None
        self.on_revoke: Callable[[Any, list[TopicPartition]], None] = lambda *_: None
        self.on_assign: Callable[[Any, list[TopicPartition]], None] = lambda *_: None

    def subscribe(self, topics: list[str], *, on_revoke: Any, on_assign: Any, **_: Any) -> None:
        assert topics == ["t.queries", "t.deadletters"]
        self.on_revoke, self.on_assign = on_revoke, on_assign
        self.assign(*range(6))()

    def assign(self, *partitions: int) -> Callable[[], None]:
        return lambda: self.on_assign(self, [TopicPartition("t.queries", p) for p in partitions])

    def revoke(self, *partitions: int) -> Callable[[], None]:
        return lambda: self.on_revoke(self, [TopicPartition("t.queries", p) for p in partitions])

    def consume(self, count: int, timeout: float) -> Sequence[FakeMessage]:
        if not self.script:
            self.at_end()
            return []
        step = self.script.pop(0)
        if callable(step):
            step()
            return []
        assert len(step) <= count
        return step

    def poll(self, timeout: float) -> FakeMessage | None:
        step = self.polls.pop(0) if self.polls else []
        if callable(step):
            step()
            return None
        return step[0] if step else None

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous
        if self.commit_faults:
            raise KafkaException(self.commit_faults.pop(0))
        self.committed.append({o.partition: o.offset for o in offsets})
        return offsets

    def assignment(self) -> list[TopicPartition]:
        return []

    def seek(self, to: TopicPartition) -> None:
        self.flow.append(f"seek {to.topic}[{to.partition}] {to.offset}")

    def pause(self, _: Any) -> None:
        self.flow.append("pause")

    def resume(self, _: Any) -> None:
        self.flow.append("resume")

    def close(self) -> None:
        self.closed = True


class FakeWork:
    """Keeps the batches; does something in the middle of the next one on request."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []
        self.spans: list[Span] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def process(self, messages: Sequence[Received], spans: Sequence[Span]) -> None:
        self.batches.append([(m.partition, m.offset) for m in messages])
        self.spans += spans
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()


def run(
    consumer: FakeConsumer,
    work: FakeWork | None = None,
    member_ref: list[GroupMember] | None = None,
    on_turn: Callable[[], None] = lambda: None,
    broker: FakeBroker | None = None,
    **limits: float,
) -> FakeWork:
    work = work or FakeWork()
    member = GroupMember(
        cast(Consumer, consumer),
        Following(broker or FakeBroker(), "g"),
        Telemetry(),
        topics=TOPICS,
        prefix="t.",
        batch_rows=int(limits.get("rows", 100)),
        batch_bytes=int(limits.get("bytes", 10_000)),
        batch_s=limits.get("seconds", 60.0),
        on_turn=on_turn,
    )
    if member_ref is not None:
        member_ref.append(member)
    consumer.at_end = member.stop
    member.run(work)
    return work


def messages(partition: int, *offsets: int) -> list[FakeMessage]:
    return [FakeMessage(partition, offset) for offset in offsets]


def test_a_batch_ends_at_its_row_limit() -> None:
    consumer = FakeConsumer(messages(0, 0, 1), messages(0, 2), messages(0, 3))
    assert run(consumer, rows=3).batches == [[(0, 0), (0, 1), (0, 2)], [(0, 3)]]
    assert consumer.committed == [{0: 3}, {0: 4}]


def test_a_batch_ends_at_its_byte_limit() -> None:
    # Each message is nine bytes.
    consumer = FakeConsumer(messages(0, 0), messages(0, 1), messages(0, 2))
    assert run(consumer, bytes=18).batches == [[(0, 0), (0, 1)], [(0, 2)]]


def test_a_batch_ends_at_its_time_limit() -> None:
    consumer = FakeConsumer(messages(0, 0), messages(0, 1))
    assert run(consumer, seconds=1e-9).batches == [[(0, 0)], [(0, 1)]]


def test_a_stop_finishes_what_was_read_commits_and_leaves() -> None:
    consumer = FakeConsumer(messages(0, 7), messages(1, 3))
    assert run(consumer).batches == [[(0, 7), (1, 3)]]
    assert consumer.committed == [{0: 8, 1: 4}]
    assert consumer.closed


def test_unprocessed_messages_of_a_revoked_partition_are_dropped() -> None:
    consumer = FakeConsumer(messages(0, 7), messages(1, 3))
    consumer.script.append(consumer.revoke(0))
    assert run(consumer).batches == [[(1, 3)]]
    assert consumer.committed == [{1: 4}]


def test_a_partition_revoked_while_its_batch_is_processed_is_not_committed() -> None:
    consumer = FakeConsumer([*messages(0, 7), *messages(1, 3)])
    work = FakeWork()
    work.meanwhile = consumer.revoke(0)
    run(consumer, work)
    assert work.batches == [[(0, 7), (1, 3)]]
    assert consumer.committed == [{1: 4}]


def test_partitions_that_come_back_after_the_wait_in_which_they_were_taken_flow_again() -> None:
    # They were paused in the wait and keep that; nothing else would ever resume them.
    consumer = FakeConsumer(messages(0, 7), lambda: consumer.assign(0)(), messages(0, 8))
    work = FakeWork()
    ref: list[GroupMember] = []
    consumer.polls = [lambda: consumer.revoke(0)()]
    work.meanwhile = lambda: ref[0].keep_alive()
    run(consumer, work, ref, rows=1)
    assert consumer.flow == ["resume", "pause", "resume", "resume"]


def test_a_failed_commit_is_tried_again_without_new_messages() -> None:
    consumer = FakeConsumer(messages(0, 7), [], [])
    consumer.commit_faults = [KafkaError(KafkaError.REBALANCE_IN_PROGRESS)]
    run(consumer, rows=1)
    assert consumer.committed == [{0: 8}]


def test_a_failed_commit_of_a_revoked_partition_is_forgotten() -> None:
    consumer = FakeConsumer(messages(0, 7))
    consumer.script.append(consumer.revoke(0))
    consumer.commit_faults = [KafkaError(KafkaError.UNKNOWN_MEMBER_ID)]
    run(consumer, rows=1)
    assert consumer.committed == []


def test_waiting_pauses_polls_and_keeps_what_a_rebalance_brings() -> None:
    consumer = FakeConsumer(messages(0, 0))
    consumer.polls = [messages(5, 9)]
    work = FakeWork()
    members: list[GroupMember] = []
    work.meanwhile = lambda: members[0].keep_alive(0.0)
    run(consumer, work, members, rows=1)
    assert consumer.flow == ["resume", "pause", "resume"]
    assert work.batches == [[(0, 0)], [(5, 9)]]
    assert consumer.committed == [{0: 1}, {5: 10}]


def test_a_stop_while_waiting_commits_nothing_of_the_unfinished_batch() -> None:
    consumer = FakeConsumer(messages(0, 0))
    work = FakeWork()
    members: list[GroupMember] = []

    def outage() -> None:
        members[0].stop()
        members[0].keep_alive(60.0)

    work.meanwhile = outage
    run(consumer, work, members, rows=1)
    assert consumer.committed == []
    assert consumer.closed


def test_errors_of_the_broker_are_logged_once_and_reading_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    down = FakeMessage(0, 0, KafkaError(KafkaError._ALL_BROKERS_DOWN))
    consumer = FakeConsumer([down], [down], messages(0, 0))
    assert run(consumer).batches == [[(0, 0)]]
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


def test_a_fatal_error_ends_the_process_after_leaving_the_group() -> None:
    fatal = FakeMessage(0, 0, KafkaError(KafkaError._FATAL, fatal=True))
    consumer = FakeConsumer([fatal])
    with pytest.raises(UnavailableError, match="must be restarted"):
        run(consumer)
    assert consumer.closed


def test_consumed_messages_are_counted_by_topic() -> None:
    telemetry = Telemetry()
    consumer = FakeConsumer(messages(0, 0, 1))
    member = GroupMember(
        cast(Consumer, consumer), Following(FakeBroker(), "g"), telemetry,
        topics=TOPICS, prefix="t.", batch_rows=9, batch_bytes=99, batch_s=9,
    )  # fmt: skip
    consumer.at_end = member.stop
    member.run(FakeWork())
    assert telemetry.value(metrics.CONSUMED, topic="queries") == 2


def test_each_turn_is_told_also_while_a_fault_is_waited_out() -> None:
    consumer = FakeConsumer(messages(0, 0), [])
    work, members, turns = FakeWork(), list[GroupMember](), list[int]()
    during: list[int] = []

    def outage() -> None:
        before = len(turns)
        members[0].keep_alive(0.0)
        during.append(len(turns) - before)

    work.meanwhile = outage
    run(consumer, work, members, lambda: turns.append(1), rows=1)
    assert during == [1]
    assert len(turns) == 1 + 4


def test_messages_wait_until_the_broker_says_what_they_are(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragwheel.intake.consumer._RETRY_S", 0.0)
    broker = FakeBroker(faults=2)
    # One that comes while the broker is asked is read again from where the group stands.
    consumer = FakeConsumer(messages(0, 4, 5))
    consumer.polls = [messages(0, 4)]
    broker.committed_offsets = {("queries", 0): 4}
    work = run(consumer, broker=broker)
    assert work.batches == [[(0, 4), (0, 5)]]
    assert work.spans == [Span("queries", 0, "o-1", 4, 6)]
    assert "seek t.queries[0] 4" in consumer.flow
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


def test_a_topic_that_is_made_again_is_another_topic_and_nothing_old_is_committed_there() -> None:
    broker = FakeBroker()
    consumer = FakeConsumer(messages(0, 0, 1), lambda: broker.make_again(), messages(0, 0),
                            messages(0, 0))  # fmt: skip
    work = run(consumer, broker=broker)
    assert work.batches == [[(0, 0), (0, 1)], [(0, 0)]]
    assert work.spans == [Span("queries", 0, "o-1", 0, 2), Span("queries", 0, "o-2", 0, 1)]
    assert consumer.committed == [{0: 1}]
    assert "seek t.queries[0] 0" in consumer.flow
