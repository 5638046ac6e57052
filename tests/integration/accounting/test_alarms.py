"""No false alarm, ever, and no blindness: everything that once looked like a loss, and losses."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from tests.rigs.examples import query, retrieval
from tests.rigs.intake import IntakeRig

from ragwheel.accounting.accounts import Gap, TopicAccount
from ragwheel.accounting.reader import AccountReader, Groups
from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.operations.write_off import WriteOff, write_off
from ragwheel.schemas import wire
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import GraderSettings, IntakeSettings
from ragwheel.schemas.topics import TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.spread]


class Accountant:
    """An accounts worker of the test's own: looks when it is told to, restarts when told to."""

    def __init__(self, rig: IntakeRig, groups: Groups | None = None) -> None:
        self._rig = rig
        self._groups = groups or Groups()
        self._client = connect(rig.clickhouse)
        self._reader = AccountReader(rig.kafka, self._client, self._groups)

    def look(self) -> dict[str, TopicAccount]:
        return {account.topic: account for account in self._reader.read()}

    def restart(self) -> None:
        """What it saw is stored; a new one goes on from there."""
        self._reader.store()
        self._reader.close()
        self._reader = AccountReader(self._rig.kafka, self._client, self._groups)

    def settled(self) -> dict[str, TopicAccount]:
        """The accounts once intake has committed everything."""
        found: dict[str, TopicAccount] = {}

        def done() -> bool:
            found.update(self.look())
            return not any(account.in_flight for account in found.values())

        self._rig.wait_until("everything is committed", done)
        return found

    def close(self) -> None:
        self._reader.close()
        self._client.close()


@contextmanager
def accountant(rig: IntakeRig, groups: Groups | None = None) -> Iterator[Accountant]:
    rig.wait_until("the tables are there", lambda: bool(rig.rows("SHOW TABLES LIKE 'v_labels'")))
    with closing(Accountant(rig, groups)) as made:
        yield made


def unaccounted(accounts: Mapping[str, TopicAccount]) -> dict[str, int]:
    return {name: each.unaccounted for name, each in accounts.items() if each.unaccounted}


def emit(rig: IntakeRig, prefix: str, count: int = 40) -> None:
    rig.emit("queries", [query(f"{prefix}-{n}") for n in range(count)])


def write_off_queries(rig: IntakeRig, reason: str, *, dry_run: bool) -> WriteOff:
    intake = load(IntakeSettings, **rig.kafka.model_dump(), **rig.clickhouse.model_dump())
    return write_off(intake, load(GraderSettings), "queries", reason, dry_run=dry_run)


def test_a_topic_that_is_deleted_and_made_again_is_accounted_from_its_start(
    rig: IntakeRig,
) -> None:
    process = rig.start(intake_batch_rows=10)
    with accountant(rig) as worker:
        emit(rig, "first")
        assert worker.settled()["queries"].landed == 40
        process.stop()
        name = kafka.physical(rig.kafka, "queries")
        admin = AdminClient(kafka.connection(rig.kafka))
        admin.delete_topics([name])[name].result(20)
        rig.wait_until("it is gone", lambda: name in kafka.missing_topics(rig.kafka))
        rig.wait_until(
            "it is there again", lambda: name in kafka.create_topics(rig.kafka, partitions=2)
        )
        rig.start(intake_batch_rows=10)
        emit(rig, "second", 25)
        accounts = worker.settled()
        assert (accounts["queries"].landed, unaccounted(accounts)) == (25, {})
        assert rig.rows("SELECT count() FROM v_queries") == [(65,)]


def test_two_prefixes_on_one_database_and_groups_of_any_name_keep_apart(
    rig: IntakeRig, tmp_path: Path
) -> None:
    other_settings = rig.kafka.model_copy(update={"topic_prefix": f"{rig.kafka.topic_prefix}b."})
    (tmp_path / "other").mkdir()
    other = IntakeRig(other_settings, rig.clickhouse, tmp_path / "other")
    try:
        rig.start()
        other.start(intake_group="somebody")
        with accountant(rig) as ours, accountant(other, Groups("somebody", "else")) as theirs:
            emit(rig, "ours", 30)
            emit(other, "theirs", 20)
            accounts = ours.settled(), theirs.settled()
            assert [each["queries"].landed for each in accounts] == [30, 20]
            assert [unaccounted(each) for each in accounts] == [{}, {}]
            assert rig.rows("SELECT count() FROM v_queries") == [(50,)]
    finally:
        other.close()


def forget_ledger(rig: IntakeRig) -> None:
    rig.rows("SELECT 1")
    with rig.client() as client:
        client.command("TRUNCATE TABLE ingest_ledger")


def forget_messages(rig: IntakeRig) -> None:
    """Everything that was read, as retention would."""
    topic = kafka.physical(rig.kafka, "queries")
    admin = AdminClient(kafka.connection(rig.kafka))
    consumer = kafka.consumer(rig.kafka, "ragwheel-intake")
    places = [TopicPartition(topic, number) for number in range(2)]
    upto = [place for place in consumer.committed(places, timeout=10) if place.offset > 0]
    consumer.close()
    for future in admin.delete_records(upto).values():
        future.result(20)


@pytest.mark.parametrize("order", list(itertools.permutations([forget_ledger, forget_messages])))
def test_retention_of_the_ledger_and_of_kafka_in_any_order_is_no_loss(
    rig: IntakeRig, order: tuple[object, ...]
) -> None:
    process = rig.start(intake_batch_rows=10)
    with accountant(rig) as worker:
        emit(rig, "first")
        worker.settled()
        for number, forget in enumerate(order):
            forget(rig)  # type: ignore[operator]
            assert unaccounted(worker.look()) == {}
            worker.restart()
            assert unaccounted(worker.look()) == {}
            process.stop()  # a quiet topic, and restarts of everything
            process = rig.start(intake_batch_rows=10)
            assert unaccounted(worker.look()) == {}
            emit(rig, f"more-{number}", 7)
            accounts = worker.settled()
            assert unaccounted(accounts) == {}
        assert accounts["queries"].landed == 54


def test_markers_of_transactions_are_no_loss(rig: IntakeRig) -> None:
    rig.start(intake_batch_rows=5)
    with accountant(rig) as worker:
        producer = kafka.producer(rig.kafka, transactional_id=f"{rig.kafka.topic_prefix}t")
        producer.init_transactions(20)
        topic = kafka.physical(rig.kafka, "queries")
        for number in range(12):
            producer.begin_transaction()
            record = query(f"q-{number}")
            producer.produce(
                topic, wire.encode(record), wire.key_of(TOPICS["queries"], record),
                partition=number % 2,
            )  # fmt: skip
            if number % 4 == 3:
                producer.abort_transaction(20)
            else:
                producer.commit_transaction(20)
        emit(rig, "after", 2)

        def landed() -> bool:
            return rig.rows("SELECT count() FROM v_queries") == [(11,)]

        rig.wait_until("what was committed has landed", landed)
        for _ in range(3):
            assert unaccounted(worker.look()) == {}
            worker.restart()


def commit_ahead(rig: IntakeRig, by: int) -> None:
    """Somebody moves the group over messages that nobody reads."""
    topic = kafka.physical(rig.kafka, "queries")
    consumer = kafka.consumer(rig.kafka, "ragwheel-intake")
    (place,) = consumer.committed([TopicPartition(topic, 0)], timeout=10)
    consumer.close()
    rig.commit("ragwheel-intake", [TopicPartition(topic, 0, max(place.offset, 0) + by)])


def test_what_nobody_read_is_unaccounted_and_stays_so_until_it_has_landed(rig: IntakeRig) -> None:
    process = rig.start(intake_batch_rows=10)
    with accountant(rig) as worker:
        emit(rig, "first")
        worker.settled()
        process.stop()
        for number in range(9):
            record = query(f"skipped-{number}")
            rig.produce("queries", wire.encode(record), b"skipped-%d" % number, partition=0)
        rig.flush()
        commit_ahead(rig, 6)
        assert unaccounted(worker.look()) == {"queries": 6}
        kept = write_off_queries(rig, "it cannot be lost while Kafka has it", dry_run=False)
        assert (kept.messages, kept.readable) == (0, 6)
        process = rig.start(intake_batch_rows=10)
        for number in range(3):  # traffic goes on, everything restarts: it does not go away
            emit(rig, f"more-{number}", 10)
            assert unaccounted(worker.settled()) == {"queries": 6}
            worker.restart()
        process.stop()
        commit_ahead(rig, -(6 + 3 + 30))  # the operator sets the group back
        rig.start(intake_batch_rows=10)
        assert unaccounted(worker.settled()) == {}
        assert rig.rows("SELECT count() FROM v_queries WHERE query_id LIKE 'skipped-%'") == [(9,)]


def test_what_expired_before_it_was_read_is_unaccounted_until_it_is_written_off(
    rig: IntakeRig,
) -> None:
    process = rig.start(intake_batch_rows=10)
    with accountant(rig) as worker:
        emit(rig, "first")
        worker.settled()
        process.stop()
        for _ in range(8):
            rig.produce("queries", b"{}", b"k", partition=1)
        rig.flush()
        topic = kafka.physical(rig.kafka, "queries")
        admin = AdminClient(kafka.connection(rig.kafka))
        (end,) = (a.in_flight for a in [worker.look()["queries"]])
        assert end == 8
        last = rig.rows(
            "SELECT max(until) FROM v_ingest_ledger WHERE topic = 'queries' AND partition = 1"
        )[0][0]
        for future in admin.delete_records([TopicPartition(topic, 1, last + 5)]).values():
            future.result(20)
        rig.start(intake_batch_rows=10)
        accounts = worker.settled()
        assert unaccounted(accounts) == {"queries": 5}
        assert accounts["queries"].dead_lettered == 3

        tried = write_off_queries(rig, "dry run", dry_run=True)
        assert (tried.messages, tried.readable) == (5, 0)
        assert unaccounted(worker.settled()) == {"queries": 5}
        done = write_off_queries(rig, "intake was down", dry_run=False)
        assert done.lost == [Gap(1, last, last + 5)]
        accounts = worker.settled()
        assert unaccounted(accounts) == {}
        assert accounts["queries"].written_off == 5
        assert rig.rows("SELECT DISTINCT written_off FROM v_ingest_ledger ORDER BY 1") == [
            ("",), ("intake was down",),
        ]  # fmt: skip
        assert write_off_queries(rig, "again", dry_run=False).messages == 0


def test_a_lost_job_shows_within_a_minute_while_labels_keep_coming(rig: IntakeRig) -> None:
    """A grader under load that acknowledges one job whose labels it never wrote."""
    from tests.integration.accounting.test_accounts import acknowledge_all_jobs, labels_of

    rig.start(sample_rate=1.0)
    with accountant(rig) as worker:
        lost_since = None
        shown = False
        deadline = time.monotonic() + 60
        for number in itertools.count():
            rig.emit("retrievals", [retrieval(f"q-{number}", query=f"question {number}")])
            name = f"q-{number}"
            sql = f"SELECT count() FROM v_grading_jobs WHERE query_id = '{name}'"  # noqa: S608
            rig.wait_until("its job has landed", lambda sql=sql: rig.rows(sql) == [(1,)])  # type: ignore[misc]
            if number == 3:
                lost_since = time.monotonic()
            else:
                rig.emit("labels", labels_of(rig, name))
            acknowledge_all_jobs(rig)
            # Read at once: the newest labels are still on their way.
            found = unaccounted(worker.look())
            assert lost_since is not None or found == {}
            shown = found == {"grading": 1}
            if shown or time.monotonic() > deadline:
                break
        assert shown
        assert lost_since is not None
        worker.restart()
        assert unaccounted(worker.settled()) == {"grading": 1}
        rig.emit("labels", labels_of(rig, "q-3"))
        rig.wait_until("it was found", lambda: unaccounted(worker.settled()) == {})
