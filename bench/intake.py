"""How fast intake lands retrievals, beside the fastest that one process can read them.

    python bench/intake.py [--events 20000]

Starts a real broker and the embedded ClickHouse, fills one topic with retrievals of 20 candidates
(hashes; every tenth with its texts), reads them once with nothing but the consumer, and once
through intake: validated, sampled at 5 %, inserted, accounted for and committed. Broker, engine and
intake share this machine's cores, as in the local stack, so wall time depends on what else runs;
the processor time of intake hardly does, and is what the limit holds: the exit status is 1 when one
core could land fewer than 1,000 events a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ragwheel.accounting.reader import read_accounts
from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.backends.positions import Broker
from ragwheel.backends.publish import Publisher
from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence
from ragwheel.intake.consumer import GroupMember
from ragwheel.intake.following import Following
from ragwheel.intake.gauges import Freshness
from ragwheel.intake.inserts import ClickHouseInserts
from ragwheel.intake.offsets import Span
from ragwheel.intake.outlet import KafkaOutlet
from ragwheel.intake.prepare import Acceptance, prepare
from ragwheel.intake.processor import Processor
from ragwheel.intake.readers import READERS
from ragwheel.intake.sampling import SamplingPolicy
from ragwheel.schemas import identity, wire
from ragwheel.schemas.acceptance import Times
from ragwheel.schemas.events import Candidate, RetrievalEvent
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.schemas.topics import TOPICS
from ragwheel.schemas.wire import Received
from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.stack.kafka import KafkaBroker

_LEAST_PER_S = 1_000.0
_BATCH_ROWS = 10_000
_CHUNKS = [f"def function_{n}(argument): ...  # " + "source text " * 80 for n in range(2_000)]
_HASHES = [identity.content_hash(text) for text in _CHUNKS]
_RULES = Acceptance(SamplingPolicy(0.05), Times(timedelta(days=150), timedelta(hours=1)))


def event(number: int) -> RetrievalEvent:
    """A retrieval of 20 chunks out of 2,000."""
    picks = [(number * 7 + rank * 31) % len(_CHUNKS) for rank in range(20)]
    with_text = number % 10 == 0
    return RetrievalEvent(
        event_id=f"r-{number}",
        query_id=f"q-{number}",
        ts=datetime.now(UTC),
        service="bench",
        segment="code",
        query=f"how do I do thing {number % 997}",
        candidates=tuple(
            Candidate(
                chunk_id=f"chunk-{pick}",
                rank=rank,
                score=1.0 / rank,
                content_hash=_HASHES[pick],
                text=_CHUNKS[pick] if with_text else None,
            )
            for rank, pick in enumerate(picks, start=1)
        ),
    )


def fill(settings: KafkaSettings, count: int) -> list[bytes]:
    """Produce `count` events; returns their wire forms."""
    producer = kafka.producer(settings)
    values = []
    for number in range(count):
        record = event(number)
        values.append(wire.encode(record))
        key = wire.key_of(TOPICS["retrievals"], record)
        producer.produce(kafka.physical(settings, "retrievals"), value=values[-1], key=key)
        if number % 1_000 == 0:
            producer.flush()
    producer.flush()
    return values


def consume_only(settings: KafkaSettings, count: int) -> float:
    """Events a second of a consumer that throws everything away; from its first message."""
    consumer = kafka.consumer(settings, "bench-raw")
    consumer.subscribe([kafka.physical(settings, "retrievals")])
    seen, began = 0, 0.0
    while seen < count:
        found = len(consumer.consume(1_000, timeout=1.0))
        began = began or (time.perf_counter() if found else 0.0)
        seen += found
    elapsed = time.perf_counter() - began
    consumer.close()
    return count / elapsed


def prepare_only(values: list[bytes]) -> float:
    """Microseconds to validate an event, make its rows and decide on the sample."""
    messages = [
        Received("retrievals", 0, number, f"q-{number}".encode(), value)
        for number, value in enumerate(values[:5_000])
    ]
    now = datetime.now(UTC)
    began = time.perf_counter()
    for message in messages:
        if prepare(message, _RULES, now).letter:
            raise SystemExit("an event of the benchmark is invalid")
    return (time.perf_counter() - began) / len(messages) * 1e6


def through_intake(
    settings: KafkaSettings, clickhouse: ClickHouseSettings, count: int
) -> tuple[float, float]:
    """(seconds, processor seconds of this process) from joining the group to the last commit."""
    client = connect(clickhouse, create_database=True)
    migrate(client)
    telemetry = Telemetry()
    member = GroupMember(
        kafka.consumer(settings, "ragwheel-intake"),
        Following(Broker(settings), "ragwheel-intake"),
        telemetry,
        topics=READERS,
        prefix=settings.topic_prefix,
        batch_rows=_BATCH_ROWS,
        batch_bytes=32 * 1024 * 1024,
        batch_s=1.0,
    )

    class Timed(Processor):
        done = 0

        def process(self, messages: Sequence[Received], spans: Sequence[Span]) -> None:
            super().process(messages, spans)
            self.done += sum(message.topic == "retrievals" for message in messages)
            if self.done >= count:
                member.stop()

    persistence = Persistence(member.keep_alive, lambda: 0.5)
    processor = Timed(
        _RULES,
        ClickHouseInserts(client, persistence, telemetry),
        KafkaOutlet(Publisher(settings, while_waiting=member.keep_alive)),
        persistence,
        telemetry,
        Freshness(telemetry, lambda: datetime.now(UTC)),
        lambda: datetime.now(UTC),
    )
    began, began_cpu = time.perf_counter(), time.process_time()
    member.run(processor)
    elapsed, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    account = {a.topic: a for a in read_accounts(settings, client)}["retrievals"]
    if (account.landed, account.unaccounted) != (count, 0):
        raise SystemExit(f"the accounts do not balance: {account}")
    client.close()
    return elapsed, cpu


def main() -> int:
    """Measure and print; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=20_000)
    count: int = parser.parse_args().events
    with (
        tempfile.TemporaryDirectory() as folder,
        KafkaBroker(Path(folder) / "kafka") as broker,
        ClickHouseFront(Path(folder) / "clickhouse") as front,
    ):
        settings = KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers)
        kafka.create_topics(settings)
        values = fill(settings, count)
        raw = consume_only(settings, count)
        prepared_us = prepare_only(values)
        elapsed, cpu = through_intake(
            settings, load(ClickHouseSettings, clickhouse_url=front.url("bench")), count
        )
    print(f"events                     {count:>12,}  of {sum(map(len, values)) / count:,.0f} bytes")
    print(f"consumer alone             {raw:>12,.0f}  events/s")
    print(f"validate, rows, sample     {prepared_us:>12,.1f}  µs/event of one core")
    print(f"through intake             {count / elapsed:>12,.0f}  events/s, group join included")
    print(f"processor time of intake   {cpu / count * 1e6:>12,.1f}  µs/event, librdkafka included")
    print(f"intake / consumer alone    {count / elapsed / raw:>12.3f}")
    print(
        f"one core / limit           {count / cpu / _LEAST_PER_S:>12.2f}  ({_LEAST_PER_S:,.0f}/s)"
    )
    return 0 if count / cpu >= _LEAST_PER_S else 1


if __name__ == "__main__":
    sys.exit(main())
