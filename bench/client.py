"""What one call of `ragwheel.client` costs the service that makes it.

    python bench/client.py [--calls 20000]

Times each call on the caller's thread while librdkafka compresses and sends in its own, to its mock
broker over loopback. Every figure is printed beside its limit; the exit status is 1 if a median is
above it. The 99th percentiles depend on what else the machine does, and are held to one
millisecond: that is TensorZero's published overhead at 10,000 requests a second, with logging off
(docs/gateway/benchmarks.mdx at 7a6159a; ours is with logging on, but of the call alone).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import KafkaError, Message, Producer

from ragwheel.backends import kafka
from ragwheel.client import RagwheelClient
from ragwheel.schemas import identity
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClientSettings

_P99_LIMIT_US = 1_000.0
_PACED_LIMIT_US = 250.0
_IMPORT_LIMIT_MS = 1_000.0
_FLUSH_EVERY = 1_000
_TEXT = "def rotate(key: Key) -> Key: ...  # " + "some source " * 80
_HASHES = [
    {"chunk_id": f"doc-{n}", "score": 1 / n, "content_hash": identity.content_hash(str(n))}
    for n in range(1, 21)
]
_TEXTS = [(f"doc-{n}", 1 / n, f"{n} {_TEXT}") for n in range(1, 21)]


@dataclass(frozen=True)
class Cost:
    """Percentiles of one call, microseconds."""

    p50: float
    p99: float


def measure(
    call: Callable[[], object], between: Callable[[], object], calls: int, pause_s: float = 0.0
) -> Cost:
    """Call, by default back to back; every 1,000 calls wait for delivery, so nothing is dropped."""
    times_ns = []
    for number in range(calls):
        if number % _FLUSH_EVERY == 0:
            between()
        began_ns = time.perf_counter_ns()
        call()
        times_ns.append(time.perf_counter_ns() - began_ns)
        if pause_s:
            time.sleep(pause_s)
    times_ns.sort()
    return Cost(times_ns[calls // 2] / 1e3, times_ns[calls * 99 // 100] / 1e3)


def one_query(client: RagwheelClient) -> None:
    """A whole block: a query, a retrieval of 20, 5 of them used, one cited."""
    with client.query("how do I rotate a key?", segment="docs") as query:
        query.retrieved(_HASHES, stage="dense", k=20)
        query.used(_HASHES[:5])
        query.cited("doc-1")


def import_ms() -> float:
    """Wall time that `import ragwheel.client` adds to starting Python; best of five."""

    def start(code: str) -> float:
        began_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began_s

    bare_s = min(start("pass") for _ in range(5))
    return (min(start("import ragwheel.client") for _ in range(5)) - bare_s) * 1000


def main() -> int:
    """Print the table; 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    calls = parser.parse_args().calls
    broker = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = broker.list_topics(timeout=10).brokers.values()
    servers = ",".join(f"{each.host}:{each.port}" for each in brokers)
    settings = load(ClientSettings, kafka_bootstrap_servers=servers, service="bench")
    client = RagwheelClient(settings)
    disabled = RagwheelClient(settings, client_enabled=False)
    raw = kafka.producer(settings, enable_idempotence=False)

    def delivered(_error: KafkaError | None, _message: Message) -> None: ...

    def retrieval(hits: list[object], of: RagwheelClient = client) -> object:
        return of.emit_retrieval(
            "0199c7a4-51f2-7b1e-9d35-6f6a2c1d0e11",
            "how do I rotate a key?",
            hits,
            segment="docs",
            stage="dense",
            retriever="hnsw",
            embedding_model="all-MiniLM-L6-v2",
            index_version="7",
            k=20,
            latency_ms=8.4,
        )

    def produce(size: int) -> Callable[[], object]:
        value = bytes(size)
        return lambda: raw.produce("ragwheel.raw", value, b"key", on_delivery=delivered)

    def flush() -> None:
        client.flush(30)

    cases: list[tuple[str, Callable[[], object], Callable[[], object], float]] = [
        ("raw produce, 2 kB", produce(2_200), lambda: raw.flush(30), 5.0),
        ("retrieval of 20, hashes", lambda: retrieval(list(_HASHES)), flush, 25.0),
        ("raw produce, 22 kB", produce(22_000), lambda: raw.flush(30), 15.0),
        ("retrieval of 20, 1 kB texts", lambda: retrieval(list(_TEXTS)), flush, 50.0),
        ("query", lambda: client.emit_query("how do I rotate a key?", segment="docs"), flush, 15.0),
        ("feedback", lambda: client.feedback("q-1", "cited", "doc-1"), flush, 15.0),
        ("whole block of 3 events", lambda: one_query(client), flush, 75.0),
        ("retrieval, client disabled", lambda: retrieval(list(_HASHES), disabled), flush, 4.0),
    ]
    print(f"{'call':<30}{'p50':>9}{'limit':>8}{'p99':>10}{'limit':>8}   µs")
    medians: dict[str, float] = {}
    slow = False
    for name, call, between, limit_us in cases:
        measure(call, between, calls // 10)  # warm caches and connections
        cost = measure(call, between, calls)
        medians[name] = cost.p50
        slow |= cost.p50 > limit_us or cost.p99 > _P99_LIMIT_US
        print(f"{name:<30}{cost.p50:9.1f}{limit_us:8.0f}{cost.p99:10.1f}{_P99_LIMIT_US:8.0f}")
    # A quiet service: the processor has slept and its caches are cold.
    paced = measure(lambda: retrieval(list(_HASHES)), flush, calls // 20, pause_s=0.002)
    slow |= paced.p50 > _PACED_LIMIT_US or paced.p99 > _P99_LIMIT_US
    name = "retrieval of 20, one per 2 ms"
    print(f"{name:<30}{paced.p50:9.1f}{_PACED_LIMIT_US:8.0f}{paced.p99:10.1f}{_P99_LIMIT_US:8.0f}")
    for ours, base in (
        ("retrieval of 20, hashes", "raw produce, 2 kB"),
        ("retrieval of 20, 1 kB texts", "raw produce, 22 kB"),
    ):
        print(f"{ours}: {medians[ours] / medians[base]:.1f} times {base}")
    taken_ms = import_ms()
    slow |= taken_ms > _IMPORT_LIMIT_MS
    print(f"import ragwheel.client: {taken_ms:.0f} ms (limit {_IMPORT_LIMIT_MS:.0f})")
    flush()
    total = client.stats().total
    print(f"events: {total.delivered} delivered of {total.queued} queued, {total.dropped} dropped")
    client.close()
    return int(slow or total.delivered != total.queued or bool(total.dropped))


if __name__ == "__main__":
    sys.exit(main())
