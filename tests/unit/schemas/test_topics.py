"""The registry of topics agrees with the models, the tables and itself."""

from __future__ import annotations

from typing import get_args

from ragwheel.backends import kafka
from ragwheel.schemas import tables
from ragwheel.schemas.events import Record, ServiceEvent
from ragwheel.schemas.limits import MAX_EVENT_BYTES, MAX_MESSAGE_BYTES
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import (
    DAY_S,
    SERVICE_TOPICS,
    TOPIC_OF_EVENT,
    TOPICS,
    TopicName,
)


def test_every_name_has_one_topic_and_every_model_one_tag() -> None:
    assert tuple(TOPICS) == get_args(TopicName)
    assert all(topic.name == name for name, topic in TOPICS.items())
    carried = [(name, model) for name, topic in TOPICS.items() for model in topic.keys]
    assert len({model for _, model in carried}) == len(carried)
    assert sorted(TOPIC_OF_EVENT.values()) == sorted(name for name, _ in carried)


def test_every_record_travels_in_a_topic() -> None:
    def concrete(model: type[Record]) -> set[type[Record]]:
        below = {leaf for child in model.__subclasses__() for leaf in concrete(child)}
        return below or {model}

    ours = {model for model in concrete(Record) if model.__module__ == Record.__module__}
    assert ours == {model for topic in TOPICS.values() for model in topic.keys}


def test_services_write_exactly_the_service_events() -> None:
    written = {model for name in SERVICE_TOPICS for model in TOPICS[name].keys}
    assert written == set(get_args(ServiceEvent))


def test_keys_are_required_text_fields_of_their_models() -> None:
    for topic in TOPICS.values():
        for model, key in topic.keys.items():
            assert model.model_fields[key].annotation is str, (topic.name, key)


def test_equal_queries_share_a_partition_where_they_are_graded() -> None:
    assert TOPICS["grading"].key == TOPICS["labels"].key == "query_hash"
    assert TOPICS["grading"].partitions == TOPICS["labels"].partitions


def test_what_is_paid_for_is_kept_longest() -> None:
    assert all(topic.retention_s % DAY_S == 0 for topic in TOPICS.values())
    assert TOPICS["labels"].retention_s > TOPICS["grading"].retention_s
    assert TOPICS["models"].table_ttl_days == 0  # no text of a user is in there
    assert TOPICS["labels"].table_ttl_days == max(each.table_ttl_days for each in TOPICS.values())


def test_a_dead_letter_can_hold_the_largest_event_and_more() -> None:
    assert MAX_MESSAGE_BYTES > MAX_EVENT_BYTES * 2


def test_every_topic_has_a_table_of_known_columns() -> None:
    names = {table.name for table in vars(tables).values() if isinstance(table, tables.Table)}
    assert {topic.table for topic in TOPICS.values()} <= names


def test_every_topic_is_described_in_one_line() -> None:
    for topic in TOPICS.values():
        assert 5 < len(topic.description) < 90
        assert "\n" not in topic.description


def test_the_physical_name_is_the_prefix_and_the_logical_one() -> None:
    assert kafka.physical(load(KafkaSettings), "labels") == "ragwheel.labels"
    assert kafka.physical(load(KafkaSettings, topic_prefix="eu."), "labels") == "eu.labels"
