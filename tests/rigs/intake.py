"""Real intake processes between a real broker and a real ClickHouse, for integration tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from tests.rigs.children import environment

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.accounting.reader import read_accounts
from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.schemas import wire
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import Record
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.schemas.topics import TOPICS, TopicName
from ragwheel.stack.processes import ManagedProcess

#: Far above what anything takes; a loaded machine is no failure.
DEADLINE_S = 90.0
#: Shortest that brokers allow: a killed worker's partitions are free after it.
SESSION_S = 6


class IntakeRig:
    """One prefix of topics, one database, any number of intake processes.

    Args:
        folder: for logs.
        partitions: of each topic.
    """

    def __init__(
        self,
        kafka_settings: KafkaSettings,
        clickhouse: ClickHouseSettings,
        folder: Path,
        partitions: int = 2,
    ) -> None:
        self.kafka = kafka_settings
        self.clickhouse = clickhouse
        self._folder = folder
        self._producer: Producer = kafka.producer(kafka_settings, linger_ms=5)
        self.processes: list[ManagedProcess] = []
        kafka.create_topics(kafka_settings, partitions=partitions)
        self.migrate()

    def migrate(self) -> None:
        """Create the tables."""
        with closing(connect(self.clickhouse, create_database=True)) as client:
            migrate(client)

    def start(self, **settings: Any) -> ManagedProcess:
        """A running intake process; settings are RAGWHEEL_ names in lower case."""
        chosen = {"session_timeout_s": SESSION_S, "intake_batch_s": 0.2, **settings}
        return self._start("intake", "ragwheel.intake", "intake consumes", chosen)

    def start_accounts(self, **settings: Any) -> ManagedProcess:
        """A running accounts process; settings as for `start`."""
        chosen = {"accounts_refresh_s": 0.2, **settings}
        return self._start("accounts", "ragwheel.accounting", "accounts of", chosen)

    def _start(
        self, name: str, module: str, ready: str, settings: dict[str, Any]
    ) -> ManagedProcess:
        name += str(len(self.processes))
        env = environment(self.kafka, self.clickhouse)
        for setting, value in {"metrics_port": -1, **settings}.items():
            env[f"RAGWHEEL_{setting.upper()}"] = str(value)
        log = self._folder / f"{name}.log"
        process = ManagedProcess(
            name,
            [sys.executable, "-m", module],
            env=env,
            log_path=log,
            ready=lambda: log.exists() and ready in log.read_text(),
        )
        self.processes.append(process)
        process.start()
        return process

    def wait_until(
        self, what: str, condition: Callable[[], bool], deadline_s: float = DEADLINE_S
    ) -> None:
        """Poll until true; fail with `what` after the deadline or when a process has died."""
        deadline = time.monotonic() + deadline_s
        while not condition():
            for process in self.processes:
                process.check()
            assert time.monotonic() < deadline, f"not within {deadline_s:g} s: {what}"
            time.sleep(0.05)

    def log(self, number: int = 0, name: str = "intake") -> str:
        """What the process that was started after `number` others logged."""
        return (self._folder / f"{name}{number}.log").read_text()

    def close(self) -> None:
        """End all processes that the test left."""
        for process in self.processes:
            process.kill()

    def produce(
        self, topic: TopicName, value: bytes | None, key: bytes | None, **where: Any
    ) -> None:
        """Queue raw bytes; `flush` sends."""
        self._producer.produce(kafka.physical(self.kafka, topic), value=value, key=key, **where)
        self._producer.poll(0)

    def emit(self, topic: TopicName, records: Iterable[Record]) -> None:
        """Send valid records."""
        for record in records:
            self.produce(topic, wire.encode(record), wire.key_of(TOPICS[topic], record))
        self.flush()

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(20) == 0

    def commit(self, group: str, offsets: list[TopicPartition]) -> None:
        """Set positions of a group whose members are going: the broker refuses until all went."""
        consumer = kafka.consumer(self.kafka, group)

        def committed() -> bool:
            try:
                consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_MEMBER_ID:
                    raise
                return False
            return True

        self.wait_until(f"the group {group} is empty", committed)
        consumer.close()

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A ClickHouse client on the test's database."""
        opened = connect(self.clickhouse)
        try:
            yield opened
        finally:
            opened.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Result of a query."""
        with self.client() as client:
            return [tuple(row) for row in client.query(sql).result_rows]

    def accounts(self) -> dict[str, TopicAccount]:
        """The account of each topic, now."""
        with self.client() as client:
            return {a.topic: a for a in read_accounts(self.kafka, client)}

    def settle(self, deadline_s: float = DEADLINE_S) -> dict[str, TopicAccount]:
        """Wait until intake has committed everything that was produced."""
        found: dict[str, TopicAccount] = {}

        def settled() -> bool:
            try:
                found.update(self.accounts())
            except (ClickHouseError, UnavailableError):
                return False
            return not any(account.in_flight for account in found.values())

        self.wait_until("everything is committed", settled, deadline_s)
        return found
