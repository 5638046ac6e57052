"""The accounts on real servers: they balance, they see what is missing, they are metrics."""

from __future__ import annotations

from urllib.request import urlopen

import pytest
from confluent_kafka import TopicPartition
from tests.rigs.examples import NOW, examples, query, retrieval
from tests.rigs.intake import IntakeRig

from ragwheel.accounting.reader import AccountReader, Groups, read_accounts
from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.schemas import deadletters, identity
from ragwheel.schemas.events import Label
from ragwheel.stack.processes import free_port

pytestmark = [pytest.mark.integration, pytest.mark.spread]


def acknowledge_all_jobs(rig: IntakeRig) -> None:
    """Commit as a grader that says it is done."""
    topic = kafka.physical(rig.kafka, "grading")
    consumer = kafka.consumer(rig.kafka, Groups().grader)
    ends = [
        TopicPartition(topic, p, consumer.get_watermark_offsets(TopicPartition(topic, p))[1])
        for p in range(2)
    ]
    consumer.close()
    rig.commit(Groups().grader, ends)


def labels_of(rig: IntakeRig, query_id: str) -> list[Label]:
    """A label of every pair of a job, as a grader would write them."""
    template = examples()["labels"]
    assert isinstance(template, Label)
    ((query_hash, chunk_hashes),) = rig.rows(
        f"SELECT query_hash, chunk_hashes FROM v_grading_jobs WHERE query_id = '{query_id}'"  # noqa: S608
    )
    return [
        template.model_copy(
            update={
                "label_id": identity.label_id(query_hash, chunk, "1", "m@1", "label"),
                "query_hash": query_hash,
                "chunk_hash": chunk,
            }
        )
        for chunk in chunk_hashes
    ]


def test_jobs_that_were_acknowledged_without_labels_are_unaccounted(rig: IntakeRig) -> None:
    rig.start(sample_rate=1.0)
    rig.emit("retrievals", [retrieval(f"q-{n}", query=f"question {n}") for n in range(4)])
    rig.settle()
    rig.settle()  # the jobs too, which intake produced meanwhile
    before = rig.accounts()["grading"]
    assert (before.pending_jobs, before.unaccounted) == (4, 0)

    # A grader that acknowledges everything and does the work of one job and a half. What a person
    # says of the others, a decoy and a second look are not what these jobs are owed.
    rig.emit("labels", [*labels_of(rig, "q-0"), *labels_of(rig, "q-1")[:1]])
    for said in ({"source": "person"}, {"role": "decoy"}, {"role": "second"}):
        others = [
            each.model_copy(update={**said, "label_id": identity.digest(str(said), each.label_id)})
            for each in labels_of(rig, "q-3")
        ]
        rig.emit("labels", others)
    acknowledge_all_jobs(rig)
    account = rig.settle()["grading"]
    assert (account.pending_jobs, account.ungraded_jobs, account.unaccounted) == (0, 3, 3)

    # A job in the dead letters is accounted for, and so is one whose labels come in the end.
    ((partition, offset),) = rig.rows(
        "SELECT partition, offset FROM v_job_positions WHERE job_id IN "
        "(SELECT job_id FROM v_grading_jobs WHERE query_id = 'q-2')"
    )
    letter = deadletters.dead_letter(
        topic="grading", partition=partition, offset=offset, key=b"k", payload=b"v",
        reason="processing_failed", detail="no text", timestamp_ms=int(NOW.timestamp() * 1000),
    )  # fmt: skip
    rig.produce("deadletters", b"v", b"k", headers=deadletters.to_headers(letter))
    rig.emit("labels", labels_of(rig, "q-1")[1:])
    assert rig.settle()["grading"].ungraded_jobs == 1


def test_a_reader_that_read_before_finds_the_same_as_a_new_one(rig: IntakeRig) -> None:
    rig.start(intake_batch_rows=20)
    client = connect(rig.clickhouse)
    reader = AccountReader(rig.kafka, client, Groups())
    for round_number in range(3):
        rig.emit("queries", [query(f"q-{round_number}-{n}") for n in range(50)])
        rig.produce("queries", b"{", b"k", partition=1)
        rig.flush()
        rig.settle()
        again = reader.read()
        if round_number == 1:
            reader.store()  # one that starts later goes on from here
        assert again == read_accounts(rig.kafka, client)
        found = {account.topic: account for account in again}["queries"]
        assert (found.landed, found.unaccounted) == (50 * (round_number + 1), 0)
    reader.close()
    client.close()


def test_metrics_show_what_became_of_every_message(rig: IntakeRig) -> None:
    ports = free_port(), free_port()
    # Before there are tables: it waits for them, and for whatever is away later.
    database = rig.clickhouse.clickhouse_url.address().database
    rig.rows(f"DROP DATABASE {database}")
    rig.start_accounts(metrics_port=ports[0])
    rig.wait_until("it tells what is missing", lambda: "ragwheel migrate" in rig.log(0, "accounts"))
    rig.migrate()
    rig.start(metrics_port=ports[1], sample_rate=0.0)
    rig.emit("retrievals", [retrieval("q-1"), retrieval("q-2", candidates=())])
    rig.produce("retrievals", b"{", b"k")
    rig.flush()
    rig.settle()

    def shown() -> set[str]:
        lines: set[str] = set()
        for port in ports:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                lines |= set(answer.read().decode().splitlines())
        return lines

    expected = {
        'ragwheel_messages_consumed_total{topic="retrievals"} 3.0',
        'ragwheel_messages_landed_total{topic="retrievals"} 2.0',
        'ragwheel_messages_dead_lettered_total{reason="malformed_json",topic="retrievals"} 1.0',
        'ragwheel_zero_result_retrievals_total{segment="code",stage="dense"} 1.0',
        'ragwheel_topic_produced_messages{topic="retrievals"} 3.0',
        'ragwheel_topic_in_flight_messages{topic="retrievals"} 0.0',
        'ragwheel_topic_unaccounted_messages{topic="retrievals"} 0.0',
        'ragwheel_topic_unaccounted_messages{topic="models"} 0.0',
    }
    rig.wait_until("the gauges are refreshed", lambda: expected <= shown())
    age = 'ragwheel_newest_event_age_seconds{topic="retrievals"}'
    rig.wait_until("freshness is shown", lambda: any(line.startswith(age) for line in shown()))
    log = rig.log(0, "accounts")
    assert (log.count("cannot be read"), log.count("are read again")) == (1, 1)
