"""Reading Kafka in batches as a well-behaved member of a consumer group.

One thread does everything, so that rebalance callbacks (they run inside `consume` and `poll`)
never race with the batch. While a fault is waited out, partitions are paused and polling goes on:
the group sees a live member and does not rebalance.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import StopRequestedError
from ragwheel.intake.contracts import BatchWork
from ragwheel.intake.following import Following
from ragwheel.intake.offsets import next_offsets
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.topics import Partition, Position, TopicName
from ragwheel.schemas.wire import Received

_LOG = logging.getLogger(__name__)

_POLL_S = 0.1
#: Between two questions to a broker that does not answer.
_RETRY_S = 1.0
_FETCH = 1_000


class GroupMember:
    """One intake worker: fills batches, has them processed, commits.

    Args:
        consumer: opened, not subscribed.
        following: knows what the partitions are and where they begin.
        topics: what is read, by logical name.
        prefix: of the physical topic names.
        on_turn: called about ten times a second, also while a fault is waited out; must be quick.
        batch_rows, batch_bytes, batch_s: whichever limit is reached first ends a batch.
    """

    def __init__(
        self,
        consumer: Consumer,
        following: Following,
        telemetry: Telemetry,
        *,
        topics: Iterable[TopicName],
        prefix: str,
        batch_rows: int,
        batch_bytes: int,
        batch_s: float,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._consumer = consumer
        self._following = following
        self._telemetry = telemetry
        self._prefix = prefix
        self._batch_rows = batch_rows
        self._batch_bytes = batch_bytes
        self._batch_s = batch_s
        self._on_turn = on_turn
        self._names: dict[str, TopicName] = {prefix + name: name for name in topics}
        self._buffer: list[Received] = []
        self._buffer_bytes = 0
        self._began = 0.0
        self._to_commit: dict[Partition, int] = {}
        self._given_up: set[Partition] = set()
        self._paused = False
        self._stopping = False
        self._fault: str | None = None

    def stop(self) -> None:
        """End `run` after the batch in hand; safe to call from a signal handler."""
        self._stopping = True

    def run(self, work: BatchWork) -> None:
        """Consume until `stop`, then leave the group.

        Raises:
            UnavailableError: the consumer met a fatal error; a new process continues the work.
        """
        self._consumer.subscribe(
            list(self._names), on_assign=self._on_assign, on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )  # fmt: skip
        try:
            while not self._stopping:
                self._on_turn()
                if self._following.unsettled:
                    self._finish_batch(work)
                    self._settle()
                    continue
                self._fetch()
                if self._batch_is_due():
                    self._finish_batch(work)
                elif self._to_commit:
                    self._commit()
            self._finish_batch(work)
        except StopRequestedError:
            _LOG.info("asked to end while waiting; the unfinished batch will be read again")
        finally:
            self._consumer.close()

    def keep_alive(self, wait_s: float = 0.0) -> None:
        """Wait while staying a member of the group. No new work is fetched.

        Raises:
            StopRequestedError: `stop` was called.
        """
        deadline = time.monotonic() + wait_s
        while True:
            if self._stopping:
                raise StopRequestedError("intake was asked to end")
            self._on_turn()
            # Again each time: a rebalance may have brought partitions that still flow.
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
            left_s = deadline - time.monotonic()
            message = self._consumer.poll(min(max(left_s, 0.0), _POLL_S))
            if message is not None:
                self._take([message])
            if left_s <= 0:
                return

    def _settle(self) -> None:
        """Learn what the new partitions are and where they begin; waits for the broker.

        Raises:
            StopRequestedError: `stop` was called.
        """
        try:
            again = self._following.settle()
        except UnavailableError as error:
            self._warn(str(error))
            self.keep_alive(_RETRY_S)
            return
        for place, offset in again.items():
            self._consumer.seek(TopicPartition(self._prefix + place.topic, place.number, offset))
        # What was paused when it was taken away comes back paused, after we resumed the rest.
        self._consumer.resume(self._consumer.assignment())
        self._paused = False

    def _fetch(self) -> None:
        room = min(_FETCH, self._batch_rows - len(self._buffer))
        wait_s = _POLL_S
        if self._buffer:
            wait_s = min(wait_s, max(0.0, self._began + self._batch_s - time.monotonic()))
        if room > 0:
            self._take(self._consumer.consume(room, timeout=wait_s))

    def _take(self, messages: Iterable[Message]) -> None:
        read: list[tuple[Position, Message]] = []
        for message in messages:
            error = message.error()
            if error is not None:
                self._tell(error)
            else:
                read.append((self._position(message), message))
        if not read:
            return
        try:
            origins = self._following.accept(at for at, _ in read)
        except UnavailableError as error:
            self._warn(str(error))
            return
        for (at, message), origin in zip(read, origins, strict=True):
            if origin is None:
                continue
            self._fault = None
            taken = _plain(at, message, origin)
            if not self._buffer:
                self._began = time.monotonic()
            self._buffer.append(taken)
            self._buffer_bytes += taken.size
            self._telemetry.inc(metrics.CONSUMED, topic=taken.topic)

    def _position(self, message: Message) -> Position:
        topic = self._names[str(message.topic())]
        return Position(topic, int(message.partition() or 0), int(message.offset() or 0))

    def _batch_is_due(self) -> bool:
        return bool(self._buffer) and (
            len(self._buffer) >= self._batch_rows
            or self._buffer_bytes >= self._batch_bytes
            or time.monotonic() >= self._began + self._batch_s
        )

    def _finish_batch(self, work: BatchWork) -> None:
        batch, self._buffer, self._buffer_bytes = self._buffer, [], 0
        # What must be settled again may be another topic by now, whose offsets these are not.
        self._given_up = self._following.unsettled_places()
        if batch:
            work.process(batch, self._following.spans())
        if self._paused:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False
        self._to_commit |= next_offsets(
            m.position for m in batch if (m.topic, m.partition) not in self._given_up
        )
        self._commit()

    def _commit(self) -> None:
        """Commit what is done. A failed commit is tried again with the next batch."""
        if not self._to_commit:
            return
        offsets = [
            TopicPartition(self._prefix + topic, partition, offset)
            for (topic, partition), offset in self._to_commit.items()
        ]
        try:
            results = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            self._tell(error.args[0])
            return
        for result in results or ():
            if result.error is None:
                place = Partition(self._names[result.topic], result.partition)
                self._to_commit.pop(place, None)
            else:
                self._tell(result.error)

    def _on_assign(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._following.assigned(Partition(self._names[p.topic], p.partition) for p in partitions)
        _LOG.info("assigned: %s", _shown(partitions))

    def _on_revoke(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Forget work on partitions that another member continues from the committed offset.

        Their part of a batch in progress may still land (equal rows collapse) but is not committed:
        that could set the new owner's position back.
        """
        gone = {Partition(self._names[p.topic], p.partition) for p in partitions}
        self._given_up |= gone
        self._buffer = [m for m in self._buffer if (m.topic, m.partition) not in gone]
        self._buffer_bytes = sum(message.size for message in self._buffer)
        for place in gone:
            self._to_commit.pop(place, None)
        self._following.revoked(gone)
        _LOG.info("revoked: %s", _shown(partitions))

    def _tell(self, error: KafkaError) -> None:
        """Log an error when it is new; librdkafka repeats each many times a second.

        Raises:
            UnavailableError: the error is final for this consumer.
        """
        if error.fatal():
            raise UnavailableError(f"Kafka consumer: {error.str()}; the process must be restarted")
        self._warn(error.str())

    def _warn(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            _LOG.warning("Kafka: %s (goes on by itself when the cause is repaired)", fault)


def _plain(at: Position, message: Message, origin: str) -> Received:
    headers = message.headers() or []
    return Received(
        at.topic,
        at.partition,
        at.offset,
        message.key(),
        message.value(),
        tuple(headers.items() if isinstance(headers, dict) else headers),
        message.timestamp()[1],
        origin,
    )


def _shown(partitions: Sequence[TopicPartition]) -> str:
    return ", ".join(sorted(f"{p.topic}[{p.partition}]" for p in partitions)) or "nothing"
