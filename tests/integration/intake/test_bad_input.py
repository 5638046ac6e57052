"""Whatever services send: good events land once, bad ones are preserved, nothing stalls."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from confluent_kafka import Consumer, Message
from tests.rigs.examples import NOW, examples, query, retrieval
from tests.rigs.intake import IntakeRig

from ragwheel.backends import kafka
from ragwheel.operations import redeliver
from ragwheel.operations.emit import Rules, emit_lines
from ragwheel.operations.overview import DeadLetterCount, dead_letter_counts
from ragwheel.schemas import deadletters, wire
from ragwheel.schemas.acceptance import Times
from ragwheel.schemas.limits import MAX_EVENT_BYTES
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import IntakeSettings
from ragwheel.schemas.topics import TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.spread]

GOOD = wire.encode(retrieval())
DAY = NOW.date().isoformat().encode()

#: key, value, reason
BAD: list[tuple[bytes | None, bytes | None, str]] = [
    (b"q-1", None, "malformed_json"),
    (b"q-1", b"{not json", "malformed_json"),
    (b"q-1", b"[]", "malformed_json"),
    (b"q-1", b"\xff\xfe\x00", "not_utf8"),
    (b"q-1", b'"' + b"x" * MAX_EVENT_BYTES + b'"', "oversize"),
    (b"q-1", b'{"event":"chunk"}', "unknown_event"),
    (b"q-1", GOOD.replace(b'"schema_version":1', b'"schema_version":99'), "unknown_schema_version"),
    (b"q-1", GOOD.replace(b'"k":3', b'"k":"many"'), "invalid_field"),
    (b"q-1", GOOD.replace(b'"latency_ms":12.5', b'"latency_ms":NaN'), "invalid_field"),
    (b"q-1", GOOD.replace(b'"rank":2', b'"rank":1'), "invalid_candidates"),
    (b"q-1", GOOD.replace(b'"score":0.5', b'"score":"high"'), "invalid_candidates"),
    (b"q-1", GOOD.replace(DAY, b"1999-11-23"), "timestamp_out_of_range"),
    (b"q-1", GOOD.replace(DAY, b"2199-11-23"), "timestamp_out_of_range"),
    (None, GOOD, "missing_key"),
    (b"\xff", GOOD, "key_mismatch"),
    (b"q-1", GOOD.replace(b'"latency_ms":12.5', b'"latency_ms":1e300'), "invalid_field"),
    # JSON, and nested deeper than it can be written again.
    (b"q-1", GOOD.replace(b'"k":3', b'"k":3,"x":' + b"[" * 250 + b"]" * 250), "processing_failed"),
]


def test_bad_messages_are_dead_lettered_with_reasons_while_good_ones_land(rig: IntakeRig) -> None:
    for number, (key, value, _) in enumerate(BAD):
        rig.emit("retrievals", [retrieval(f"good-{number}")])
        rig.produce("retrievals", value, key, partition=number % 2)
    # Somebody else's message in the dead-letter topic must not stop anything either.
    rig.produce("deadletters", b"\x00foreign", b"\xff")
    rig.emit("retrievals", [retrieval("zero", candidates=())])
    rig.start(sample_rate=0.0)
    accounts = rig.settle()

    found = rig.rows("SELECT reason, count() FROM v_dead_letters GROUP BY reason")
    expected = Counter(reason for _, _, reason in BAD) + Counter(["unknown_event"])
    assert dict(found) == dict(expected)
    assert rig.rows("SELECT uniqExact(query_id) FROM v_retrievals") == [(len(BAD) + 1,)]
    assert rig.rows("SELECT query_id FROM v_retrievals WHERE empty(chunk_ids)") == [("zero",)]
    assert accounts["retrievals"].dead_lettered == len(BAD)
    assert accounts["retrievals"].landed == len(BAD) + 1
    assert {topic for topic, account in accounts.items() if account.unaccounted} == set()

    with rig.client() as client:
        letters = redeliver.select(client, redeliver.Selection(topics=["retrievals"]))
    kept = Counter((letter.key, letter.payload, letter.reason) for letter in letters)
    assert kept == Counter(BAD)


def test_dead_letters_in_kafka_carry_the_original_bytes_and_headers(rig: IntakeRig) -> None:
    rig.produce("feedback", b"\xff\xfe", b"\x00key")
    rig.flush()
    rig.start()
    rig.settle()
    consumer: Consumer = kafka.consumer(rig.kafka, "reader")
    consumer.subscribe([kafka.physical(rig.kafka, "deadletters")])
    read: list[Message] = []

    def arrived() -> bool:
        read.extend(consumer.consume(1, 0.2))
        return bool(read)

    rig.wait_until("a dead letter", arrived)
    consumer.close()
    headers = read[0].headers() or []
    letter = deadletters.from_message(
        read[0].key(),
        read[0].value(),
        headers.items() if isinstance(headers, dict) else headers,
        position=(0, 0),
        timestamp_ms=0,
    )
    assert (letter.topic, letter.reason) == ("feedback", "not_utf8")
    assert (letter.key, letter.payload) == (b"\x00key", b"\xff\xfe")


def test_a_sender_with_a_wrong_clock_cannot_make_its_dead_letters_expire(rig: IntakeRig) -> None:
    rig.produce("feedback", b"{", b"k", timestamp=1_000_000_000_000)  # 2001
    rig.flush()
    rig.start()
    rig.settle()
    rig.rows("OPTIMIZE TABLE dead_letters FINAL")
    assert rig.rows("SELECT count() FROM v_dead_letters WHERE ts > now() - 3600") == [(1,)]


def test_a_record_of_every_topic_lands_and_duplicates_land_once(rig: IntakeRig) -> None:
    rig.start()
    for _ in range(3):
        for topic, record in examples().items():
            if topic != "deadletters":
                rig.emit(topic, [record])
        rig.settle()
    for entry in TOPICS.values():
        if entry.name not in ("deadletters", "grading"):
            assert rig.rows(f"SELECT count() FROM v_{entry.table}") == [(1,)], entry.name  # noqa: S608


def test_sampled_retrievals_become_jobs_once_each(rig: IntakeRig) -> None:
    rig.start(sample_rate=0.0, sample_rates="code=1")
    events = [retrieval(f"q-{n}") for n in range(5)]
    rig.emit("retrievals", [*events, *events, retrieval("other", segment="other")])
    rig.settle()
    found = rig.rows(
        "SELECT query_id, stratum, inclusion_probability, length(chunk_hashes) "
        "FROM v_grading_jobs ORDER BY query_id"
    )
    assert found == [(f"q-{n}", "code", 1.0, 3) for n in range(5)]
    # Nobody grades here: all are pending, none is unaccounted for.
    account = rig.accounts()["grading"]
    assert (account.pending_jobs, account.unaccounted) == (10, 0)


def test_dead_letters_can_be_replayed_after_a_fix(rig: IntakeRig) -> None:
    versions = [
        wire.encode(query(f"q-{n}")).replace(b'"schema_version":1', b'"schema_version":99')
        for n in range(3)
    ]
    for number, value in enumerate(versions):
        rig.produce("queries", value, b"q-%d" % number)
    rig.produce("queries", wire.encode(query("q-3")), None)
    rig.produce("queries", b"beyond repair", b"q-4")
    rig.flush()
    rig.start()
    rig.settle()

    def fix(payload: bytes) -> bytes:
        return orjson.dumps(orjson.loads(payload) | {"schema_version": 1})

    def run() -> Counter[bool]:
        with rig.client() as client:
            letters = redeliver.select(client, redeliver.Selection(topics=["queries"]))
        plans = [redeliver.plan(letter, load(IntakeSettings), NOW, fix) for letter in letters]
        return Counter(not done.problem for done in redeliver.send(rig.kafka, plans))

    assert run() == Counter({True: 4, False: 1})
    assert run() == Counter({True: 4, False: 1})  # again: harmless
    accounts = rig.settle()
    found = rig.rows("SELECT query_id FROM v_queries ORDER BY query_id")
    assert found == [(f"q-{n}",) for n in range(4)]
    assert accounts["queries"].unaccounted == 0
    assert rig.rows("SELECT count() FROM v_dead_letters") == [(5,)]


def test_a_file_of_any_age_lands_as_a_backfill_and_stays(rig: IntakeRig) -> None:
    # Every month of 55 years: as many partitions in one batch.
    first = datetime(1970, 1, 1, tzinfo=UTC)
    events = [query(f"q-{n}", ts=first + timedelta(days=30 * n)) for n in range(670)]
    lines = [wire.encode(event) for event in events]
    times = Times.of(load(IntakeSettings))
    told: list[str] = []
    refused = emit_lines(
        lines, rig.kafka, Rules(times), on_error=lambda _, error: told.append(error.reason)
    )
    assert set(told) == {"timestamp_out_of_range"}
    rig.start()
    young = 670 - refused.invalid
    assert young == refused.delivered.total() < 5

    sent = emit_lines(lines, rig.kafka, Rules(times, backfill=True), on_error=lambda *_: None)
    assert (sent.delivered, sent.invalid) == ({"queries": 670}, 0)
    accounts = rig.settle(120)
    assert accounts["queries"].dead_lettered == 0
    rig.rows("OPTIMIZE TABLE queries FINAL")  # what outlived its time would go now
    assert rig.rows("SELECT count() FROM v_queries") == [(670,)]


def test_old_events_that_were_not_marked_are_told_and_can_be_sent_again_as_a_backfill(
    rig: IntakeRig,
) -> None:
    rig.emit("queries", [query(f"q-{n}", ts=NOW.replace(year=2024)) for n in range(7)])
    rig.start()
    rig.settle()
    with rig.client() as client:
        assert dead_letter_counts(client) == [DeadLetterCount("timestamp_out_of_range", 7, 7)]
        letters = redeliver.select(client, redeliver.Selection())
    settings = load(IntakeSettings)
    plans = [redeliver.plan(each, settings, datetime.now(UTC), backfill=True) for each in letters]
    assert not any(done.problem for done in redeliver.send(rig.kafka, plans))
    assert rig.settle()["queries"].landed == 7
    assert rig.rows("SELECT count() FROM v_queries") == [(7,)]


def test_selections_restrict_what_is_replayed(rig: IntakeRig) -> None:
    rig.produce("queries", b"{", b"q")
    rig.produce("feedback", b"{", b"q")
    rig.produce("feedback", b"\xff", b"q")
    rig.flush()
    rig.start()
    rig.settle()
    with rig.client() as client:

        def ids(selection: redeliver.Selection) -> set[str]:
            return {letter.dead_letter_id for letter in redeliver.select(client, selection)}

        everything = ids(redeliver.Selection())
        assert len(everything) == 3
        assert len(ids(redeliver.Selection(topics=["feedback"]))) == 2
        assert len(ids(redeliver.Selection(topics=["feedback"], reasons=["not_utf8"]))) == 1
        assert len(ids(redeliver.Selection(limit=2))) == 2
        one = sorted(everything)[0]
        assert ids(redeliver.Selection(ids=[one])) == {one}
        newest = max(letter.ts for letter in redeliver.select(client, redeliver.Selection()))
        later = newest.replace(year=newest.year + 1)
        assert ids(redeliver.Selection(since=later)) == set()
        assert ids(redeliver.Selection(since=newest)) >= {
            letter.dead_letter_id
            for letter in redeliver.select(client, redeliver.Selection())
            if letter.ts == newest
        }
