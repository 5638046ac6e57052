"""Kills and outages: every event is read exactly once, and nothing is unaccounted for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.rigs.examples import query, retrieval
from tests.rigs.intake import IntakeRig

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
from ragwheel.intake.prepare import Acceptance
from ragwheel.intake.processor import Processor
from ragwheel.intake.readers import READERS
from ragwheel.intake.sampling import SamplingPolicy
from ragwheel.schemas.acceptance import Times
from ragwheel.schemas.events import RetrievalEvent
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.schemas.wire import Received
from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.stack.kafka import KafkaBroker
from ragwheel.stack.processes import ProcessFailedError

pytestmark = [pytest.mark.integration, pytest.mark.spread]


def traffic(count: int) -> list[RetrievalEvent]:
    """Distinct retrievals; about a third carry a text."""
    return [
        retrieval(f"q-{n}", candidates=() if n % 3 else retrieval().candidates)
        for n in range(count)
    ]


def landed(rig: IntakeRig) -> int:
    """Rows as they are, copies included."""
    with rig.client() as client:
        if not client.command("EXISTS TABLE retrievals"):
            return 0
        return int(str(client.command("SELECT count() FROM retrievals")))


def has_landed(rig: IntakeRig, least: int) -> bool:
    """Whether so many rows are there, copies included."""
    return landed(rig) >= least


def has_logged(rig: IntakeRig, text: str, times: int) -> bool:
    """Whether the first intake process said something so often."""
    return rig.log().count(text) >= times


def assert_exactly_once(rig: IntakeRig, count: int) -> None:
    read = rig.rows("SELECT count(), uniqExact(event_id) FROM v_retrievals")
    assert read == [(count, count)]
    accounts = rig.settle()
    assert {a.topic: a.unaccounted for a in accounts.values() if a.unaccounted} == {}
    assert accounts["retrievals"].landed == accounts["retrievals"].produced == count


@pytest.mark.slow
def test_killed_in_mid_batch_and_restarted_every_event_is_read_once(rig: IntakeRig) -> None:
    events = traffic(4_000)
    rig.emit("retrievals", events)
    dice = random.Random(7)
    least = 1
    for _ in range(2):
        # Small batches: the kill hits one between its first insert and its commit.
        process = rig.start(intake_batch_rows=50, sample_rate=0.2)
        rig.wait_until("more rows", partial(has_landed, rig, least))
        process.kill()
        least = landed(rig) + dice.randrange(1, 900)
    assert landed(rig) < len(events), "killed too late to show anything"
    rig.start(sample_rate=0.2)
    rig.settle()
    assert_exactly_once(rig, len(events))


class Crash(BaseException):
    """The process dies here."""


class CrashingProcessor(Processor):
    """Dies once, right after a chosen step of its second batch."""

    die_after = ""
    batches = 0

    def process(self, messages: Sequence[Received], spans: Sequence[Span]) -> None:
        self.batches += 1
        super().process(messages, spans)
        self._die("ledger")

    def _land(self, batch: Any) -> None:
        super()._land(batch)
        self._die("rows")

    def _deliver(self, batch: Any) -> None:
        super()._deliver(batch)
        self._die("jobs and letters")

    def _die(self, step: str) -> None:
        if step == self.die_after and self.batches == 2:
            raise Crash


def _now() -> datetime:
    return datetime.now(UTC)


def in_process(rig: IntakeRig, die_after: str, until: Callable[[], bool]) -> None:
    """Intake in this process, to die at an exact place."""
    client = connect(rig.clickhouse, create_database=True)
    migrate(client)
    telemetry = Telemetry()
    following = Following(Broker(rig.kafka), "ragwheel-intake")
    member = GroupMember(
        kafka.consumer(rig.kafka, "ragwheel-intake"), following,
        telemetry, topics=READERS, prefix=rig.kafka.topic_prefix,
        batch_rows=50, batch_bytes=10**9, batch_s=0.2,
    )  # fmt: skip
    persistence = Persistence(member.keep_alive, lambda: 0.5)
    publisher = Publisher(rig.kafka, while_waiting=lambda: member.stop() if until() else None)
    outlet = KafkaOutlet(publisher)
    processor = CrashingProcessor(
        Acceptance(SamplingPolicy(1.0), Times(timedelta(days=400), timedelta(hours=1))),
        ClickHouseInserts(client, persistence, telemetry), outlet, persistence, telemetry,
        Freshness(telemetry, _now), _now,
    )  # fmt: skip
    processor.die_after = die_after
    with pytest.raises(Crash):
        member.run(processor)
    client.close()


@pytest.mark.parametrize("step", ["rows", "jobs and letters", "ledger"])
def test_a_death_after_any_step_loses_nothing_and_doubles_nothing(
    rig: IntakeRig, step: str
) -> None:
    events = traffic(200)
    rig.emit("retrievals", events)
    rig.produce("retrievals", b"{", b"q", partition=0)
    rig.flush()
    in_process(rig, step, until=lambda: False)
    before = rig.accounts()["retrievals"]
    assert before.in_flight > 0
    assert before.unaccounted == 0
    rig.start(sample_rate=1.0)
    accounts = rig.settle()
    assert rig.rows("SELECT count() FROM v_retrievals") == [(200,)]
    jobs = sum(1 for event in events if event.candidates)
    assert rig.rows("SELECT count() FROM v_grading_jobs") == [(jobs,)]
    assert rig.rows("SELECT count() FROM v_dead_letters") == [(1,)]
    assert (accounts["retrievals"].landed, accounts["retrievals"].dead_lettered) == (200, 1)
    assert not any(account.unaccounted for account in accounts.values())


def test_committed_work_that_was_not_done_shows_as_unaccounted(rig: IntakeRig) -> None:
    """The alarm itself: without this test a metric that is always 0 would pass every other."""
    rig.emit("retrievals", traffic(100))
    process = rig.start(intake_batch_rows=10)
    rig.settle()
    process.stop()
    lost_rows = "topic = 'retrievals' AND partition = 0 AND start > 0"
    with rig.client() as client:
        client.command(f"DELETE FROM ingest_ledger WHERE {lost_rows}")  # noqa: S608 - our own
    accounts = rig.accounts()
    lost = accounts["retrievals"].unaccounted
    assert 0 < lost < 100
    assert accounts["retrievals"].landed == 100 - lost
    assert accounts["queries"].unaccounted == 0


def test_two_processes_share_the_load_and_one_survives_the_other(rig: IntakeRig) -> None:
    first = rig.start(intake_batch_rows=100)
    rig.start(intake_batch_rows=100)
    rig.wait_until("both have partitions", lambda: "assigned: t" in rig.log(1))
    rig.emit("retrievals", traffic(1_000))
    rig.wait_until("rows", lambda: landed(rig) > 0)
    first.kill()
    rig.emit("retrievals", [retrieval(f"later-{n}") for n in range(200)])
    rig.settle()
    assert_exactly_once(rig, 1_200)


def test_a_terminated_process_finishes_commits_and_leaves_at_once(rig: IntakeRig) -> None:
    process = rig.start(intake_batch_s=30, session_timeout_s=60)
    rig.emit("queries", [query(f"q-{n}") for n in range(50)])
    rig.wait_until("messages are read", lambda: "assigned: t" in rig.log())
    process.stop()
    assert "intake ended" in rig.log()
    # The group is empty now: the next worker need not wait for a session of 60 s to expire.
    rig.start()
    accounts = rig.settle(deadline_s=40)
    assert (accounts["queries"].landed, accounts["queries"].unaccounted) == (50, 0)


def test_clickhouse_may_vanish_and_return_under_load(
    kafka_settings: KafkaSettings, own_clickhouse: ClickHouseFront, tmp_path: Path
) -> None:
    settings = load(ClickHouseSettings, clickhouse_url=own_clickhouse.url("faults"))
    rig = IntakeRig(kafka_settings, settings, tmp_path)
    try:
        rig.start(intake_batch_rows=100, sample_rate=1.0)
        rig.emit("retrievals", traffic(500))
        rig.wait_until("rows", lambda: landed(rig) > 0)
        for round_number in range(2):
            own_clickhouse.kill()
            rig.emit("retrievals", [retrieval(f"down-{round_number}-{n}") for n in range(100)])
            told = partial(has_logged, rig, "trying again until it works", round_number + 1)
            rig.wait_until("it is noticed", told)
            own_clickhouse.start()
            rig.settle()
        assert_exactly_once(rig, 700)
        # The same worker all the time: it stayed in its group and was not restarted.
        assert rig.log().count("intake consumes") == 1
        assert "revoked" not in rig.log()
    finally:
        rig.close()


def test_the_broker_may_vanish_and_return_under_load(
    own_kafka: KafkaBroker, clickhouse_settings: ClickHouseSettings, tmp_path: Path
) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=own_kafka.bootstrap_servers)
    rig = IntakeRig(settings, clickhouse_settings, tmp_path)
    try:
        rig.start(intake_batch_rows=100, sample_rate=1.0)
        rig.emit("retrievals", traffic(600))
        rig.wait_until("rows", lambda: landed(rig) > 0)
        own_kafka.kill()
        own_kafka.start()
        rig.emit("retrievals", [retrieval(f"later-{n}") for n in range(100)])
        rig.settle()
        assert_exactly_once(rig, 700)
        assert rig.log().count("intake consumes") == 1
    finally:
        rig.close()


@pytest.mark.parametrize(
    ("setting", "value", "status", "said"),
    [
        ("kafka_bootstrap_servers", "127.0.0.1:1", 69, "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"),
        ("clickhouse_url", "http://127.0.0.1:1/x", 69, "RAGWHEEL_CLICKHOUSE_URL"),
        ("clickhouse_url", "postgres://h/x", 78, "RAGWHEEL_CLICKHOUSE_URL"),
        ("sample_rate", "2", 78, "RAGWHEEL_SAMPLE_RATE"),
        ("intake_batch_rowz", "2", 78, "did you mean RAGWHEEL_INTAKE_BATCH_ROWS"),
    ],
)
def test_a_wrong_setting_ends_in_one_line_and_a_documented_status(
    rig: IntakeRig, setting: str, value: str, status: int, said: str
) -> None:
    with pytest.raises(ProcessFailedError, match=f"exit status {status}"):
        rig.start(**{setting: value})
    lines = rig.log().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
