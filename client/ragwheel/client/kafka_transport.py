"""To Kafka: a producer opened on first use, never waited for, safe across forks."""

from __future__ import annotations

import atexit
import ctypes
import os
import time
import weakref
from collections.abc import Callable
from functools import partial
from multiprocessing import process as mp_process
from multiprocessing import util as mp_util
from threading import Event, Lock, Thread

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ragwheel.backends import kafka
from ragwheel.client.complaints import Complaints
from ragwheel.client.forks import reset_after_fork
from ragwheel.client.stats import Counters, Outcome
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.settings import ClientSettings
from ragwheel.schemas.topics import SERVICE_TOPICS, TopicName

#: What librdkafka and we keep of the smallest event while it waits.
_LEAST_BYTES = 512
_POLL_INTERVAL_S = 0.1
#: After a refused configuration, seconds until the next try; each costs milliseconds.
_REOPEN_AFTER_S = 30.0
_TIMED_OUT = KafkaError._MSG_TIMED_OUT
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN
_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)

_Delivered = Callable[[KafkaError | None, Message], None]


class KafkaTransport:
    """`Transport` to librdkafka's queue.

    `send` never raises and, unless asked to, never blocks: a full queue drops the event and counts
    it. Delivery is reported to a daemon thread that polls about ten times a second.

    A forked child has none of the parent's threads, so it gets a producer of its own on first use;
    the parent's unsent events stay the parent's.
    """

    def __init__(
        self, settings: ClientSettings, counters: Counters, complaints: Complaints
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._complaints = complaints
        self._topics = {name: kafka.physical(settings, name) for name in SERVICE_TOPICS}
        self._callbacks: dict[TopicName, _Delivered] = {
            name: partial(self._delivered, name) for name in SERVICE_TOPICS
        }
        self._last_error = "no answer"
        self._to_check = "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"
        self._all_down = False
        self._troubled = False
        self._closed = False
        self._lock = Lock()
        self._stop = Event()
        self._pid = os.getpid()
        self._producer: Producer | None = None
        self._retry_at_s = 0.0
        reset_after_fork(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def send(self, topic: TopicName, key: bytes, value: bytes, *, wait_s: float = 0.0) -> bool:
        """Queue one event; False, counted as dropped, when there is no room after `wait_s`."""
        producer = self._producer
        if producer is None or self._pid != os.getpid():
            producer = self._open()
            if producer is None:
                self._counters.add(topic, Outcome.DROPPED)
                return False
        # Counted first, as the report of its delivery may overtake us in another thread.
        self._counters.add(topic, Outcome.QUEUED)
        name, report = self._topics[topic], self._callbacks[topic]
        deadline_s = time.monotonic() + wait_s if wait_s > 0 else 0.0
        while True:
            try:
                producer.produce(name, value, key, on_delivery=report)
            except BufferError:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    size = f"{self._settings.client_queue_mib} MiB (RAGWHEEL_CLIENT_QUEUE_MIB)"
                    self._drop(topic, "full", f"the queue of {size} is full")
                    return False
                producer.poll(min(left_s, _POLL_INTERVAL_S))  # serving reports makes room
            except KafkaException as error:
                self._drop(topic, f"produce:{error.args[0].name()}", error.args[0].str())
                return False
            except Exception:
                self._counters.add(topic, Outcome.QUEUED, -1)
                raise
            else:
                return True

    def flush(self, timeout_s: float | None = None) -> int:
        """Wait until every queued event is delivered or given up; how many still wait then."""
        timeout_s = self._limit_s(timeout_s)
        producer = self._producer
        if producer is None or self._pid != os.getpid():
            return 0
        return int(producer.flush(timeout_s))

    def close(self, timeout_s: float | None = None) -> int:
        """Flush, give up what remains, accept nothing more; how many were given up."""
        timeout_s = self._limit_s(timeout_s)
        with self._lock:
            self._closed = True
            producer, self._producer = self._producer, None
            mine = self._pid == os.getpid()
            self._stop.set()
        if producer is None or not mine:
            return 0
        left = int(producer.flush(timeout_s))
        if left:
            producer.purge()
            producer.poll(0)
            self._complaints.say(
                "exit",
                f"events not delivered within {timeout_s:g} s of closing, and lost: {left}; "
                f"{self._where()}, or raise RAGWHEEL_CLIENT_FLUSH_TIMEOUT_S",
            )
        return left

    def after_fork_in_child(self) -> None:
        """Start with an empty queue and no producer; the parent's events stay the parent's."""
        if self._producer is not None:
            # Destroying it waits in vain for threads that exist only in the parent: leak it.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
        self._lock = Lock()
        self._stop = Event()
        self._pid = os.getpid()
        self._producer = None
        self._retry_at_s = 0.0

    def _limit_s(self, timeout_s: float | None) -> float:
        return self._settings.client_flush_timeout_s if timeout_s is None else timeout_s

    def _open(self) -> Producer | None:
        with self._lock:
            if self._producer is not None and self._pid == os.getpid():
                return self._producer
            if self._closed:
                self._complaints.say("closed", "an event came after close() and is dropped")
                return None
            if time.monotonic() < self._retry_at_s:
                return None
            try:
                producer = kafka.producer(
                    self._settings,
                    on_error=_weak(self._on_error),
                    # A duplicate is harmless, as rows have an identity; the fatal state that an
                    # idempotent producer can enter would silence the service until a restart.
                    enable_idempotence=False,
                    queue_buffering_max_kbytes=self._settings.client_queue_mib * 1024,
                    # What a message costs beside its bytes is not counted there; its own limit of
                    # 100,000 would be reached long before the memory, and under another name.
                    queue_buffering_max_messages=(
                        self._settings.client_queue_mib * 1024 * 1024 // _LEAST_BYTES
                    ),
                    message_timeout_ms=int(self._settings.client_message_timeout_s * 1000),
                )
            except ConfigError as error:
                self._retry_at_s = time.monotonic() + _REOPEN_AFTER_S
                self._complaints.say("configuration", f"events are dropped: {error}")
                return None
            self._producer = producer
            self._pid = os.getpid()
            # A client that nobody holds any more ends its thread, and with it the producer.
            weakref.finalize(self, self._stop.set).atexit = False
            Thread(
                target=_poll, args=(producer, self._stop), name="ragwheel-client", daemon=True
            ).start()
            if mp_process.parent_process() is not None:
                # Before Python 3.13 children of multiprocessing end without running atexit.
                mp_util.Finalize(None, _close_at_exit, (weakref.ref(self),), exitpriority=100)
            return producer

    def _drop(self, topic: TopicName, kind: str, reason: str) -> None:
        self._counters.move(topic, Outcome.QUEUED, Outcome.DROPPED)
        self._complaints.say(kind, f"an event for {topic} is dropped: {reason}; {self._where()}")

    def _delivered(self, topic: TopicName, error: KafkaError | None, _: Message) -> None:
        """Delivery report; runs in whichever thread polls."""
        if error is None:
            self._counters.add(topic, Outcome.DELIVERED)
            self._all_down = False
            if self._troubled:
                self._troubled = False
                self._complaints.relief("Kafka takes events again")
            return
        self._counters.add(topic, Outcome.FAILED)
        if error.code() == _TIMED_OUT and self._all_down:
            self._complain_about_broker()
        elif error.code() not in _PURGED:
            self._complaints.say(
                f"failed:{error.name()}",
                f"an event for the topic {self._topics[topic]} is lost: {error.str()}; "
                f"check that the topic exists, and {self._where()}",
            )

    def _on_error(self, error: KafkaError) -> None:
        """Errors of the connection; runs in whichever thread polls."""
        if error.code() == _ALL_DOWN:
            self._all_down = True
            self._complain_about_broker()
        else:
            self._last_error = error.str()
            self._to_check = kafka.settings_to_check(error)

    def _complain_about_broker(self) -> None:
        settings = self._settings
        self._troubled |= self._complaints.say(
            "broker",
            f"no Kafka broker takes events ({self._last_error}). Each is kept for "
            f"{settings.client_message_timeout_s:g} s, {settings.client_queue_mib} MiB in all, "
            f"then counted and lost; {self._where()}",
        )

    def _where(self) -> str:
        return f"check {self._to_check} ({self._settings.kafka_bootstrap_servers})"


def _poll(producer: Producer, stop: Event) -> None:
    while not stop.wait(_POLL_INTERVAL_S):
        producer.poll(0)


def _weak(method: Callable[[KafkaError], None]) -> Callable[[KafkaError], None]:
    """A callback that does not keep its owner alive."""
    reference = weakref.WeakMethod(method)

    def call(error: KafkaError) -> None:
        alive = reference()
        if alive is not None:
            alive(error)

    return call


def _close_at_exit(reference: weakref.ref[KafkaTransport]) -> None:
    transport = reference()
    if transport is not None:
        transport.close()
