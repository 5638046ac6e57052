"""What the client does when the broker, the process or the machine misbehaves.

Against librdkafka's mock broker, which can be taken down; test_client_kafka.py has the real one.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

import pytest
from tests.rigs.mock_kafka import MockKafka

from ragwheel.client import RagwheelClient, TopicStats
from ragwheel.schemas import wire
from ragwheel.schemas.events import Event, Record
from ragwheel.schemas.topics import SERVICE_TOPICS, TOPICS, TopicName

pytestmark = pytest.mark.integration

HITS = [(f"c-{n}", 1.0 / n, f"text {n}") for n in range(1, 21)]


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    with MockKafka(*(f"ragwheel.{name}" for name in SERVICE_TOPICS)) as started:
        yield started


@pytest.fixture
def dead_address() -> str:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def records(broker: MockKafka, topic: TopicName) -> list[Record]:
    """What arrived, as intake reads it; fails if intake would dead-letter it."""
    return [
        wire.decode(TOPICS[topic], key, value) for key, value in broker.read(f"ragwheel.{topic}")
    ]


def query_ids(broker: MockKafka) -> list[str]:
    return sorted(r.query_id for r in records(broker, "queries") if isinstance(r, Event))


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "condition not met in time"
        time.sleep(0.02)


def script(code: str, broker: MockKafka, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a small service in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": broker.servers} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_delivery_is_counted_without_the_service_asking_for_it(broker: MockKafka) -> None:
    with RagwheelClient(kafka_bootstrap_servers=broker.servers) as client:
        with client.query("x") as query:
            query.retrieved(HITS)
            query.cited("c-1")
        client.emit_chunks((hit[0], hit[2]) for hit in HITS)
        wait_until(lambda: client.stats().total.delivered == 23)
        assert client.stats().total == TopicStats(queued=23, delivered=23)
    assert {name: len(records(broker, name)) for name in SERVICE_TOPICS} == {
        "queries": 1, "retrievals": 1, "feedback": 1, "chunks": 20,
    }  # fmt: skip


def test_a_client_that_nobody_holds_delivers_and_ends_its_thread(broker: MockKafka) -> None:
    def threads() -> int:
        return sum(thread.name == "ragwheel-client" for thread in threading.enumerate())

    before = threads()
    for number in range(5):
        RagwheelClient(kafka_bootstrap_servers=broker.servers).emit_query("x", query_id=f"{number}")
    assert threads() == before + 5  # what is queued keeps its client alive

    def ended() -> bool:
        gc.collect()
        return threads() == before

    wait_until(ended)
    assert query_ids(broker) == ["0", "1", "2", "3", "4"]


def test_events_of_many_threads_all_arrive_once(broker: MockKafka) -> None:
    with RagwheelClient(kafka_bootstrap_servers=broker.servers) as client:

        def work(thread: int) -> None:
            for number in range(200):
                client.emit_query("x", query_id=f"{thread}-{number}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(20) == 0
        assert client.stats().total == TopicStats(queued=1600, delivered=1600)
    assert query_ids(broker) == sorted(f"{t}-{n}" for t in range(8) for n in range(200))


def test_a_service_that_just_ends_loses_nothing(broker: MockKafka) -> None:
    code = (
        "import ragwheel.client as ragwheel\n"
        "for n in range(500): ragwheel.emit_query('x', query_id=f'q-{n}')\n"
    )
    result = script(code, broker)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert query_ids(broker) == sorted(f"q-{n}" for n in range(500))


def test_a_service_that_crashes_with_an_exception_loses_nothing(broker: MockKafka) -> None:
    code = (
        "import ragwheel.client as ragwheel\n"
        "with ragwheel.query('x', query_id='q-1') as q:\n"
        "    q.retrieved([('c-1', 1.0, 'text')])\n"
        "    raise SystemExit(3)\n"
    )
    assert script(code, broker).returncode == 3
    assert query_ids(broker) == ["q-1"]
    assert len(records(broker, "retrievals")) == 1


def test_the_end_of_a_service_is_not_held_up_by_a_dead_broker(
    broker: MockKafka, dead_address: str
) -> None:
    code = (
        "import ragwheel.client as ragwheel, time, atexit\n"
        "for n in range(100): ragwheel.emit_query('x')\n"
        "t = time.monotonic(); atexit.register(lambda: None)\n"
        "import ragwheel.client.kafka_transport as s; old = s.KafkaTransport.close\n"
        "def close(self, *a):\n"
        "    left = old(self, *a); total = ragwheel.stats().total\n"
        "    print(left, total.failed, total.pending, time.monotonic() - t < 30)\n"
        "s.KafkaTransport.close = close\n"
    )
    result = script(
        code,
        broker,
        RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS=dead_address,
        RAGWHEEL_CLIENT_FLUSH_TIMEOUT_S="0.5",
        RAGWHEEL_CLIENT_MESSAGE_TIMEOUT_S="300",
    )
    assert result.returncode == 0
    assert result.stdout == "100 100 0 True\n", result.stderr


def test_a_dead_broker_is_said_in_one_line_and_costs_the_caller_nothing(
    dead_address: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    client = RagwheelClient(
        kafka_bootstrap_servers=dead_address,
        client_message_timeout_s=1.5,
        client_flush_timeout_s=0,
    )
    began_s = time.monotonic()
    for _ in range(500):
        with client.query("x") as query:
            query.retrieved(HITS)
    # A wait for the broker in each of the 1000 calls would show, however short.
    assert time.monotonic() - began_s < 10.0
    wait_until(lambda: client.stats().total.failed == 1000)
    assert client.stats().total == TopicStats(queued=1000, failed=1000)
    (line,) = caplog.messages
    assert "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS" in line
    assert f"({dead_address})" in line
    assert "refused" in line
    client.close()
    assert capfd.readouterr().err == ""


def test_a_queue_that_is_full_drops_at_once(dead_address: str) -> None:
    client = RagwheelClient(
        kafka_bootstrap_servers=dead_address, client_queue_mib=1, client_flush_timeout_s=0
    )
    large = [(f"c-{n}", 1.0, "x" * 5_000) for n in range(20)]
    began_s = time.monotonic()
    for _ in range(200):
        client.emit_retrieval("q", "x", large)
    assert time.monotonic() - began_s < 20.0  # no wait for room in 200 calls
    stats = client.stats().topics["retrievals"]
    assert stats.queued + stats.dropped == 200
    assert 5 <= stats.queued <= 12  # 100 kB each in 1 MiB
    client.close()


@pytest.mark.parametrize("mib", [1, 64])
def test_the_limit_of_the_queue_is_its_memory_and_not_a_number_of_events(
    dead_address: str, mib: int, caplog: pytest.LogCaptureFixture
) -> None:
    client = RagwheelClient(
        kafka_bootstrap_servers=dead_address, client_queue_mib=mib, client_flush_timeout_s=0
    )
    while not client.stats().total.dropped:
        for _ in range(1_000):
            client.emit_feedback("q", "clicked", "c-1")
    assert client.stats().total.queued == mib * 2_048  # half a KiB each
    assert any(f"the queue of {mib} MiB" in line for line in caplog.messages)
    client.close()


def test_an_outage_shorter_than_the_message_timeout_loses_nothing(
    broker: MockKafka, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ragwheel.client")
    with RagwheelClient(kafka_bootstrap_servers=broker.servers) as client:
        client.emit_query("x", query_id="before")
        assert client.flush(10) == 0
        broker.down()
        client.emit_query("x", query_id="during")
        wait_until(lambda: any("no Kafka broker" in line for line in caplog.messages))
        assert client.stats().total.pending == 1
        broker.up()
        client.emit_query("x", query_id="after")
        assert client.flush(20) == 0
        assert client.stats().total == TopicStats(queued=3, delivered=3)
    assert query_ids(broker) == ["after", "before", "during"]
    assert len(caplog.messages) == 2
    assert caplog.messages[1] == "Kafka takes events again"


def test_a_forked_child_sends_its_own_events_and_none_of_the_parents(broker: MockKafka) -> None:
    # gunicorn's way: the application is loaded, and has already sent something, before the fork.
    code = (
        "import os, sys, ragwheel.client as ragwheel\n"
        "ragwheel.configure(client_flush_timeout_s=20)\n"
        "for n in range(50): ragwheel.emit_query('x', query_id=f'parent-{n}')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert ragwheel.stats().total.queued == 0\n"
        "    for n in range(50): ragwheel.emit_query('x', query_id=f'child-{n}')\n"
        "    assert ragwheel.stats().total.queued == 50\n"
        "    sys.exit(0)\n"
        "_, status = os.waitpid(child, 0)\n"
        "for n in range(50, 60): ragwheel.emit_query('x', query_id=f'parent-{n}')\n"
        "assert ragwheel.stats().total.queued == 60\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    result = script(code, broker)
    assert result.returncode == 0, result.stderr
    expected = [f"parent-{n}" for n in range(60)] + [f"child-{n}" for n in range(50)]
    assert query_ids(broker) == sorted(expected)


def test_a_forked_child_that_sends_nothing_ends_promptly(broker: MockKafka) -> None:
    code = (
        "import os, time, ragwheel.client as ragwheel\n"
        "ragwheel.emit_query('x', query_id='q-1')\n"
        "child = os.fork()\n"
        "if child:\n"
        "    t = time.monotonic(); _, status = os.waitpid(child, 0)\n"
        "    print(status, time.monotonic() - t < 30)\n"
    )
    result = script(code, broker, RAGWHEEL_CLIENT_FLUSH_TIMEOUT_S="60")
    assert (result.returncode, result.stdout) == (0, "0 True\n"), result.stderr
    assert query_ids(broker) == ["q-1"]


def _child_of_multiprocessing(client: RagwheelClient, number: int, pipe: Connection) -> None:
    for each in range(20):
        client.emit_query("x", query_id=f"child-{number}-{each}")
    pipe.send(client.stats().total.queued)


def test_children_of_multiprocessing_flush_although_they_skip_atexit(broker: MockKafka) -> None:
    context = multiprocessing.get_context("fork")
    with RagwheelClient(kafka_bootstrap_servers=broker.servers) as client:
        client.emit_query("x", query_id="parent")
        children = []
        for number in range(4):
            receiving, sending = context.Pipe(duplex=False)
            child = context.Process(
                target=_child_of_multiprocessing, args=(client, number, sending)
            )
            child.start()
            children.append((child, receiving))
        for child, receiving in children:
            assert receiving.poll(20)
            assert receiving.recv() == 20
            child.join(20)
            assert child.exitcode == 0
    expected = [f"child-{number}-{each}" for number in range(4) for each in range(20)]
    assert query_ids(broker) == sorted([*expected, "parent"])


def test_a_fork_while_other_threads_send_does_not_hang_the_child(broker: MockKafka) -> None:
    with RagwheelClient(kafka_bootstrap_servers=broker.servers) as client:
        stop = threading.Event()

        def busy() -> None:
            while not stop.is_set():
                client.emit_query("", query_id="always invalid: takes every lock there is")

        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(10):
                child = os.fork()
                if child == 0:
                    client.emit_query("x", query_id=f"child-{number}")
                    client.emit_query("")
                    client.close(20)
                    os._exit(0 if client.stats().total.delivered == 1 else 1)
                _wait_for_exit(child)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert query_ids(broker) == sorted(f"child-{number}" for number in range(10))


def _wait_for_exit(child: int) -> None:
    deadline_s = time.monotonic() + 30
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        if time.monotonic() > deadline_s:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("the child hangs")
        time.sleep(0.02)
