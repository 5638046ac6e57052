"""Forgetting: nothing of it is left in any column, nothing brings it back, others keep theirs."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import TopicPartition
from tests.integration.accounting.test_accounts import acknowledge_all_jobs
from tests.rigs.examples import NOW, examples, query, retrieval
from tests.rigs.intake import IntakeRig

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.backends import kafka
from ragwheel.operations.forget import ForgetReport, Subject, forget
from ragwheel.schemas import identity, wire
from ragwheel.schemas.events import (
    Candidate,
    ChunkEvent,
    FeedbackEvent,
    IndexEvent,
    Label,
    Record,
)
from ragwheel.schemas.settings import ClickHouseSettings, IntakeSettings, KafkaSettings
from ragwheel.schemas.tables import ALL_TABLES, FORGOTTEN
from ragwheel.schemas.tombstones import tombstone_hash
from ragwheel.schemas.topics import TOPICS, TopicName
from ragwheel.stack.clickhouse import ClickHouseFront

pytestmark = [pytest.mark.integration, pytest.mark.spread]

USER, SESSION, TEXT = "pseudonym-q4711z", "session-q4711z", "Where Is My Order q4711z?"
IDS = ("search-q4711z-a", "search-q4711z-b", "search-q4711z-c")
#: What no column may hold.
TRACES = (USER, SESSION, TEXT, *IDS, "q4711z")
SECRET = "A chunk that names somebody."
OTHER = "A chunk that names nobody."


def forgetting(rig: IntakeRig, subject: Subject, **how: Any) -> ForgetReport:
    settings = IntakeSettings(
        kafka_bootstrap_servers=rig.kafka.kafka_bootstrap_servers,
        topic_prefix=rig.kafka.topic_prefix,
        clickhouse_url=rig.clickhouse.clickhouse_url,
    )
    return forget(settings, subject, **how)


def shown(value: object) -> str:
    """Any value as text; bytes as they are and in hexadecimal."""
    if isinstance(value, bytes):
        return f"{value.decode('utf-8', 'replace')} {value.hex()}"
    if isinstance(value, list | tuple):
        return " ".join(map(shown, value))
    return str(value)


def everything(client: Client) -> dict[str, str]:
    """All columns of all tables as one text each, those that the server fills too."""
    found = {}
    for table in [*(each.name for each in ALL_TABLES), "schema_migrations"]:
        columns = client.query(
            "SELECT name FROM system.columns "
            "WHERE database = currentDatabase() AND table = {table:String}",
            parameters={"table": table},
        ).result_rows
        names = ", ".join(f"`{name}`" for (name,) in columns)
        rows = client.query(f"SELECT {names} FROM {table}").result_rows  # noqa: S608
        found[table] = "\n".join(map(shown, rows))
    return found


def places_of(rig: IntakeRig, traces: tuple[str, ...]) -> dict[str, list[str]]:
    """Where traces are found: tables, statements of mutations, parts with deleted rows."""
    with rig.client() as client:
        texts = everything(client)
        mutations = client.query(
            "SELECT command FROM system.mutations WHERE database = currentDatabase()"
        )
        texts["mutations"] = shown(mutations.result_rows)
        masked = client.query(
            "SELECT DISTINCT table FROM system.parts "
            "WHERE database = currentDatabase() AND active AND has_lightweight_delete"
        ).result_rows
    found = {
        name: [each for each in traces if each.lower() in text.lower()]
        for name, text in texts.items()
    }
    return {name: each for name, each in found.items() if each} | {
        name: ["deleted rows in its parts"] for (name,) in masked
    }


def unaccounted(accounts: dict[str, TopicAccount]) -> dict[str, int]:
    return {name: each.unaccounted for name, each in accounts.items() if each.unaccounted}


def read_again(rig: IntakeRig) -> None:
    """Set intake's group back to the beginning of every topic."""
    rig.commit(
        "ragwheel-intake",
        [
            TopicPartition(kafka.physical(rig.kafka, name), number, 0)
            for name in TOPICS
            for number in range(2 if TOPICS[name].partitions > 1 else 1)
        ],
    )


def label(query_id: str, text: str, chunk_hash: str, minute: int, **changes: Any) -> Label:
    template = examples()["labels"]
    assert isinstance(template, Label)
    query_hash = identity.query_hash(text)
    return template.model_copy(
        update={
            "query_id": query_id, "query": text, "query_hash": query_hash,
            "chunk_hash": chunk_hash, "graded_at": NOW.replace(minute=minute),
            "job_id": identity.job_id(f"r-{query_id}", "label"),
            "label_id": identity.label_id(query_hash, chunk_hash, "1", "m@1", "label"),
            **changes,
        }
    )  # fmt: skip


def feedback(query_id: str) -> FeedbackEvent:
    return FeedbackEvent(event_id=f"f-{query_id}", query_id=query_id, ts=NOW, kind="thumbs_up")


def traffic_of_the_user() -> list[tuple[TopicName, Record]]:
    """Three searches, one before the user logged in; all was graded, one pair in vain."""
    hashes = [each.content_hash for each in retrieval().candidates]
    found: list[tuple[TopicName, Record]] = []
    for number, query_id in enumerate(IDS):
        user = "" if number == 2 else USER
        text = TEXT if number == 0 else f"{TEXT} ({number})"
        found += [
            ("queries", query(query_id, text=text, user=user, session=SESSION)),
            ("retrievals", retrieval(query_id, query=text)),
            ("feedback", feedback(query_id)),
            *(("labels", label(query_id, text, each, 1)) for each in hashes[1:]),
        ]
        failed = {"status": "failed", "grade": None, "expected_grade": None, "reason": TEXT}
        found.append(("labels", label(query_id, text, hashes[0], 1, **failed)))
        # What measured the grader is of this search as well, and of nobody else's.
        decoy = {"role": "decoy", "label_id": identity.digest("decoy", query_id)}
        found.append(("labels", label(query_id, text, "d" * 32, 1, **decoy)))
    return found


def traffic_of_others() -> list[tuple[TopicName, Record]]:
    """Somebody asks the same in other letters (the labels are the same), and something else."""
    hashes = [each.content_hash for each in retrieval().candidates]
    same = TEXT.upper().replace("4711", "\uff14\uff17\uff11\uff11")  # NFKC makes it equal
    return [
        ("queries", query("of-others-1", text=same, user="u-2", session="s-2")),
        ("retrievals", retrieval("of-others-1", query=same)),
        ("feedback", feedback("of-others-1")),
        *(("labels", label("of-others-1", same, each, 2)) for each in hashes),
        ("queries", query("of-others-2", text="else", user="u-2", session="s-2")),
        ("retrievals", retrieval("of-others-2", query="else")),
        *(("labels", label("of-others-2", "else", each, 2)) for each in hashes),
    ]


def send(rig: IntakeRig, records: list[tuple[TopicName, Record]]) -> None:
    for topic, record in records:
        rig.emit(topic, [record])


def send_broken(rig: IntakeRig) -> None:
    """Dead letters: JSON that is no event, cut short, and no JSON at all; and somebody else's."""
    broken = {"event": "query", "query_id": IDS[0], "user": USER, "text": TEXT, "ts": "never"}
    rig.produce("queries", orjson.dumps(broken), IDS[0].encode())
    rig.produce("queries", b'{"event": "query", "query_id": "%s", "te' % IDS[1].encode(), b"k")
    rig.produce("retrievals", b"\xff search:%s \xfe" % IDS[0].encode(), b"k")
    lone = {"event": "query", "query_id": "lone-q4711z", "user": USER, "text": "x", "ts": "never"}
    rig.produce("queries", orjson.dumps(lone), b"lone-q4711z")
    rig.produce("queries", b'{"query_id": "of-others-1", "event": 1}', b"of-others-1")
    rig.flush()


def merge(rig: IntakeRig) -> None:
    """Rows of one identity become one, as they do sooner or later."""
    with rig.client() as client:
        for table in ALL_TABLES:
            client.command(f"OPTIMIZE TABLE {table.name} FINAL")


def what_others_have(rig: IntakeRig) -> list[list[tuple[Any, ...]]]:
    of_others = "query_id LIKE 'of-others-%'"
    return [
        rig.rows(f"SELECT query_id, text FROM v_queries WHERE {of_others} ORDER BY 1"),  # noqa: S608
        rig.rows(f"SELECT query_id, chunk_ids FROM v_retrievals WHERE {of_others} ORDER BY 1"),  # noqa: S608
        rig.rows(f"SELECT query_id FROM v_feedback WHERE {of_others}"),  # noqa: S608
        rig.rows(f"SELECT query_id FROM v_grading_jobs WHERE {of_others} ORDER BY 1"),  # noqa: S608
        rig.rows("SELECT count() FROM v_dead_letters WHERE key = 'of-others-1'"),
        # Of every pair of theirs a grade; in whose words it is stored is another matter.
        rig.rows(
            "SELECT query_hash, chunk_hash, grade FROM v_labels WHERE (query_hash, role) IN "  # noqa: S608
            f"(SELECT query_hash, role FROM v_grading_jobs WHERE {of_others}) ORDER BY ALL"
        ),
    ]


def test_a_forgotten_user_is_in_no_column_and_does_not_come_back(rig: IntakeRig) -> None:
    process = rig.start(sample_rate=1.0)
    send(rig, [*traffic_of_the_user(), *traffic_of_others()])
    send_broken(rig)
    rig.settle()
    acknowledge_all_jobs(rig)
    merge(rig)
    # The canary is where it is looked for.
    tables = {
        "queries", "retrievals", "feedback", "grading_jobs", "labels", "dead_letters",
    }  # fmt: skip
    assert set(places_of(rig, TRACES)) == tables
    others = what_others_have(rig)
    hidden = [identity.query_hash(f"{TEXT} ({n})") for n in (1, 2)]
    assert set(places_of(rig, tuple(hidden))) >= {"job_positions", "unfinished_labels"}

    planned = forgetting(rig, Subject(user=USER), dry_run=True)
    assert set(places_of(rig, TRACES)) == tables
    assert rig.rows("SELECT count() FROM forgotten") == [(0,)]
    told: list[str] = []
    done = forgetting(rig, Subject(user=USER), tell=told.append)
    assert (done.complete, done.queries, done.tables) == (True, 4, planned.tables)
    assert told
    assert places_of(rig, (*TRACES, *hidden)) == {}
    assert what_others_have(rig) == others
    assert unaccounted(rig.settle()) == {}

    process.stop()
    read_again(rig)
    rig.start(sample_rate=1.0)
    accounts = rig.settle()
    assert unaccounted(accounts) == {}
    assert accounts["queries"].in_flight == 0
    acknowledge_all_jobs(rig)
    assert unaccounted(rig.settle()) == {}
    assert places_of(rig, (*TRACES, *hidden)) == {}
    assert what_others_have(rig) == others
    # A file that is sent again, with what had never arrived: it is of the same user.
    send(rig, [("queries", query("late", text=TEXT, user=USER))])
    rig.settle()
    send(rig, [("retrievals", retrieval("late", query=TEXT))])
    rig.settle()
    assert places_of(rig, TRACES) == {}
    # The user searches again, later: nobody asked to forget that.
    later = NOW.now(NOW.tzinfo)
    rig.wait_until("the tombstone is past", lambda: NOW.now(NOW.tzinfo) > later)
    time.sleep(5)
    send(rig, [("queries", query("new", text="new", user=USER, ts=NOW.now(NOW.tzinfo)))])
    rig.settle()
    assert rig.rows("SELECT query_id FROM v_queries WHERE user != 'u-2'") == [("new",)]


def test_what_arrives_while_a_user_is_forgotten_goes_too(rig: IntakeRig) -> None:
    rig.start(sample_rate=1.0, intake_batch_rows=7)
    stop = threading.Event()

    def search() -> None:
        number = 0
        while not stop.is_set() and number < 400:
            query_id = f"search-q4711z-{number}"
            # The retrieval first: it lands before anybody knows whose it is.
            rig.produce("retrievals", *wire_of("retrievals", retrieval(query_id, query=TEXT)))
            rig.produce("queries", *wire_of("queries", query(query_id, text=TEXT, user=USER)))
            number += 1
            time.sleep(0.01)

    searching = threading.Thread(target=search)
    searching.start()
    try:
        rig.wait_until("some landed", lambda: rig.rows("SHOW TABLES LIKE 'v_forgotten'") != [])
        rig.wait_until("some landed", lambda: rig.rows("SELECT count() FROM queries") > [(20,)])
        done = forgetting(rig, Subject(user=USER))
    finally:
        stop.set()
        searching.join()
    rig.flush()
    rig.settle()
    assert done.complete
    assert done.queries > 20
    assert places_of(rig, TRACES) == {}
    assert unaccounted(rig.settle()) == {}


def test_a_search_alone_is_forgotten_by_its_id(rig: IntakeRig) -> None:
    rig.start(sample_rate=1.0)
    send(rig, [*traffic_of_the_user(), *traffic_of_others()])
    rig.settle()
    merge(rig)
    done = forgetting(rig, Subject(query_id=IDS[0]))
    assert (done.complete, done.queries) == (True, 1)
    assert places_of(rig, (IDS[0],)) == {}
    assert set(places_of(rig, (IDS[1],))) == {
        "queries", "retrievals", "feedback", "grading_jobs", "labels",
    }  # fmt: skip
    # Without intake: what is there goes, and it says that it could not see the rest.
    for process in rig.processes:
        process.stop()
    send(rig, [("queries", query(IDS[1], text=TEXT))])
    done = forgetting(rig, Subject(query_id=IDS[1]), wait_s=0.5)
    assert (done.complete, done.waiting) == (False, 1)
    assert places_of(rig, (IDS[1],)) == {}


@pytest.mark.parametrize("by", ["chunk_id", "content_hash"])
def test_a_forgotten_chunk_leaves_what_was_retrieved_with_it(rig: IntakeRig, by: str) -> None:
    process = rig.start(sample_rate=1.0)
    found = (
        Candidate(chunk_id="about-somebody", rank=1, score=0.5, text=SECRET, in_context=True),
        Candidate(chunk_id="about-nobody", rank=2, score=0.25, text=OTHER),
    )
    secret, other = identity.content_hash(SECRET), identity.content_hash(OTHER)
    chunk = ChunkEvent(chunk_id="about-somebody", text=SECRET, ts=NOW, index_version="i-1")
    cited = FeedbackEvent(
        event_id="f", query_id="q-1", ts=NOW, kind="cited", chunk_id="about-somebody"
    )
    labels = [label("q-1", "q", each, 1) for each in (secret, other)]
    complete = IndexEvent(index_version="i-1", ts=NOW, complete=True, chunks=1)
    send(
        rig,
        [
            ("retrievals", retrieval("q-1", query="q", candidates=found)),
            ("chunks", chunk),
            ("chunks", complete),
            ("feedback", cited),
            *(("labels", each) for each in labels),
        ],
    )  # fmt: skip
    broken = {"event": "chunk", "chunk_id": "x", "text": SECRET, "ts": "never"}
    rig.produce("chunks", orjson.dumps(broken), b"x")
    rig.flush()
    rig.settle()
    acknowledge_all_jobs(rig)
    subject = (
        Subject(chunk_id="about-somebody") if by == "chunk_id" else Subject(content_hash=secret)
    )
    traces = (SECRET, secret, *(["about-somebody"] if by == "chunk_id" else []))
    assert {"chunks", "retrievals", "labels", "dead_letters"} <= set(places_of(rig, traces))
    assert forgetting(rig, subject).complete
    read = (
        "SELECT chunk_ids, chunk_hashes, ranks, scores, in_context FROM v_retrievals "
        "WHERE query_id = 'q-1'"
    )
    for again in (False, True):
        # Its hash is its tombstone, and is what the statements named.
        assert places_of(rig, (secret,)).keys() <= {"forgotten", "mutations"}
        assert places_of(rig, tuple(each for each in traces if each != secret)) == {}
        assert rig.rows(read) == [(["about-nobody"], [other], [2], [0.25], [False])]
        assert rig.rows("SELECT chunk_hash FROM v_labels") == [(other,)]
        assert rig.rows("SELECT chunk_hashes FROM v_grading_jobs") == [([other],)]
        # The build that had it has as many as it declares, and is complete without it.
        assert rig.rows("SELECT count(), countIf(deleted) FROM v_index_entries") == [(1, 1)]
        assert unaccounted(rig.settle()) == {}
        if not again:
            process.stop()
            read_again(rig)
            rig.start(sample_rate=1.0)
            rig.settle()


def wire_of(topic: TopicName, record: Record) -> tuple[bytes, bytes]:
    return wire.encode(record), wire.key_of(TOPICS[topic], record)


def test_a_job_that_nobody_grades_because_its_query_is_forgotten_is_no_loss(
    rig: IntakeRig,
) -> None:
    """Its position landed before intake knew; the grader knew, and acknowledged it."""
    rig.start(sample_rate=1.0)
    send(rig, [("retrievals", retrieval("q-1")), ("retrievals", retrieval("q-2"))])
    rig.settle()
    acknowledge_all_jobs(rig)
    assert unaccounted(rig.settle()) == {"grading": 2}
    with rig.client() as client:
        row = ("query", tombstone_hash("query", "q-1"), NOW)
        client.insert(FORGOTTEN.name, [row], column_names=FORGOTTEN.columns)
    assert unaccounted(rig.accounts()) == {"grading": 1}


@pytest.mark.slow
def test_the_bytes_leave_the_disk(
    kafka_settings: KafkaSettings, own_clickhouse: ClickHouseFront, tmp_path: Path
) -> None:
    settings = ClickHouseSettings.model_validate(
        {"clickhouse_url": own_clickhouse.url("forgetting")}
    )
    rig = IntakeRig(kafka_settings, settings, tmp_path)

    def on_disk() -> bool:
        # The engine removes parts while they are walked, so what vanishes is no error: os.walk
        # passes over a folder that is gone, where Path.rglob raises.
        for folder, _, names in os.walk(tmp_path / "clickhouse"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    if USER.encode() in Path(folder, name).read_bytes():
                        return True
        return False

    try:
        rig.start()
        send(rig, [("queries", query("q-1", user=USER))])
        rig.settle()
        assert on_disk()
        with rig.client() as client:  # 8 minutes is long for a test
            client.command("ALTER TABLE queries MODIFY SETTING old_parts_lifetime = 1")
        assert forgetting(rig, Subject(user=USER)).complete
        rig.wait_until("old parts are removed", lambda: not on_disk(), 120)
    finally:
        rig.close()
