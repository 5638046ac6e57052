"""librdkafka's own mock broker: a Kafka on loopback that can be taken down and up at will.

It speaks the real protocol over TCP, so the client under test cannot tell; a test on the real
broker stands beside those that use it. The functions are exported by the library that
confluent-kafka bundles (rdkafka_mock.h).
"""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, TopicPartition

_PRODUCER = 0
_PARTITIONS = 2
_INIT_PRODUCER_ID = 22  # number of the request in Kafka's protocol


def _library() -> ctypes.CDLL:
    package = Path(confluent_kafka.__file__).parent
    places = (package.with_name("confluent_kafka.libs"), package / ".dylibs")
    found = [path for place in places for path in sorted(place.glob("librdkafka*"))]
    assert found, f"no librdkafka beside {package}"
    library = ctypes.CDLL(str(found[0]))
    for name, result, arguments in (
        ("rd_kafka_new", ctypes.c_void_p,
         [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [ctypes.c_void_p]),
        ("rd_kafka_mock_cluster_new", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]),
        ("rd_kafka_mock_cluster_destroy", None, [ctypes.c_void_p]),
        ("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p, [ctypes.c_void_p]),
        ("rd_kafka_mock_topic_create", ctypes.c_int,
         [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]),
        ("rd_kafka_mock_broker_set_down", ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32]),
        ("rd_kafka_mock_push_request_errors_array", None,
         [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)]),
    ):  # fmt: skip
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class MockKafka:
    """One broker; use as a context manager. `topics` are created with two partitions each."""

    def __init__(self, *topics: str) -> None:
        self._topics = topics

    def __enter__(self) -> Self:
        self._library = _library()
        self._handle = self._library.rd_kafka_new(_PRODUCER, None, None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, 1)
        for topic in self._topics:
            assert not self._call("rd_kafka_mock_topic_create", topic.encode(), _PARTITIONS, 1)
        self.servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def down(self) -> None:
        """Close its connections and refuse new ones."""
        assert not self._call("rd_kafka_mock_broker_set_down", 1)

    def up(self) -> None:
        """Take connections again."""
        assert not self._call("rd_kafka_mock_broker_set_up", 1)

    def forbid_next_producer(self) -> None:
        """Refuse the next idempotent producer for good, as a missing permission does."""
        error = (ctypes.c_int * 1)(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
        self._call("rd_kafka_mock_push_request_errors_array", _INIT_PRODUCER_ID, 1, error)

    def read(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """(key, value) of everything in `topic`, by partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": uuid.uuid4().hex,
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        try:
            ends = [
                (partition, consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)[1])
                for partition in range(_PARTITIONS)
            ]
            consumer.assign([TopicPartition(topic, partition, 0) for partition, _ in ends])
            wanted = sum(end for _, end in ends)
            found: list[tuple[bytes | None, bytes | None]] = []
            while len(found) < wanted:
                batch = consumer.consume(wanted - len(found), timeout=10)
                assert batch, f"{len(found)} of {wanted} messages of {topic} within 10 s"
                for message in batch:
                    assert message.error() is None
                    found.append((message.key(), message.value()))
            return found
        finally:
            consumer.close()

    def _call(self, name: str, *arguments: object) -> int:
        function: Callable[..., int] = getattr(self._library, name)
        return function(self._cluster, *arguments)
