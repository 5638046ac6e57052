"""What `ragwheel status` and `ragwheel doctor` learn from a real broker and database."""

from __future__ import annotations

import pytest

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.kafka import consumer, create_topics, missing_topics
from ragwheel.backends.migrate import migrate
from ragwheel.operations.doctor import services
from ragwheel.operations.overview import GroupState, group_states, look
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import (
    ClickHouseSettings,
    GraderSettings,
    IntakeSettings,
    KafkaSettings,
)
from ragwheel.schemas.topics import TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.spread]


def test_a_group_that_nobody_joined_has_no_members(
    kafka_settings: KafkaSettings, topic_prefix: str
) -> None:
    group = f"{topic_prefix}group"
    assert group_states(kafka_settings, {"intake": group, "grader": group}) == [
        GroupState("intake", group, 0),
        GroupState("grader", group, 0),
    ]


def test_the_members_of_a_group_are_counted(
    kafka_settings: KafkaSettings, topic_prefix: str
) -> None:
    create_topics(kafka_settings, replication=1)
    group = f"{topic_prefix}group"
    member = consumer(kafka_settings, group)
    try:
        member.subscribe([f"{topic_prefix}queries"])
        for _ in range(300):
            member.poll(0.1)
            if member.assignment():
                break
        assert group_states(kafka_settings, {"intake": group}) == [GroupState("intake", group, 1)]
    finally:
        member.close()


def test_missing_topics_are_named_until_they_are_created(
    kafka_settings: KafkaSettings, topic_prefix: str
) -> None:
    missing = missing_topics(kafka_settings)
    assert f"{topic_prefix}labels" in missing
    finding = services.broker(kafka_settings, configured=True)
    assert (finding.level, finding.fix) == ("warn", "ragwheel topics")
    assert set(create_topics(kafka_settings, replication=1)) == set(missing)
    assert missing_topics(kafka_settings) == []
    assert services.broker(kafka_settings, configured=True).level == "ok"


def test_a_database_without_tables_is_a_warning_until_it_is_migrated(
    clickhouse_settings: ClickHouseSettings,
) -> None:
    client = connect(clickhouse_settings, create_database=True)
    finding = services.database(clickhouse_settings, configured=True)
    assert (finding.level, finding.fix) == ("warn", "ragwheel migrate")
    migrate(client)
    client.close()
    assert services.database(clickhouse_settings, configured=True).level == "ok"


def test_an_empty_wheel_can_be_looked_at(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, topic_prefix: str
) -> None:
    create_topics(kafka_settings, replication=1)
    client = connect(clickhouse_settings, create_database=True)
    migrate(client)
    client.close()
    addresses = {
        "kafka_bootstrap_servers": kafka_settings.kafka_bootstrap_servers,
        "topic_prefix": topic_prefix,
        "clickhouse_url": clickhouse_settings.clickhouse_url,
    }
    overview = look(
        load(IntakeSettings, intake_group=f"{topic_prefix}intake", **addresses),
        load(GraderSettings, grader_group=f"{topic_prefix}grader", **addresses),
    )
    assert len(overview.topics) == len(TOPICS)
    assert {table.rows for table in overview.tables} == {0}
    assert overview.unaccounted == 0
    assert overview.dead_letters == []
    assert overview.down == ["intake", "grader"]
