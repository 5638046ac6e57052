"""What does the server cost over the raw encode, and do those it lets in wait when too many ask?

The server is the process that users start, with the base model that comes as a package; queries
come from a process of their own, over sockets. The raw encode is the floor: it is measured in the
same run, in turns with the server, for other processes' load counts too; it is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from typing import IO, cast

import numpy as np
import psutil

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.models.encoder import TextEncoder, load_encoder
from ragwheel.models.packaged import packaged_model
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.stack.clickhouse import ClickHouseFront

IDLE_MS, THROUGHPUT, OVERLOAD, WAIT, GROWTH_MB = 2.0, 0.9, 3, 2.0, 16.0
CLIENTS = 32
_COMMON, _OVERLOADED_S = 1_000, 4


@dataclass
class Answered:
    """Seconds of each that got a vector, how many got 429 and Retry-After, and all the others."""

    took: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        """Vectors a second."""
        return len(self.took) / self.seconds


@dataclass(frozen=True)
class Ask:
    """What the other process is told: `clients` that ask again when answered, or a rate.

    Attributes:
        first: number of the first query.
        common: share of the queries that are among `_COMMON` known ones.
    """

    port: int
    requests: int
    first: int
    clients: int = 0
    per_s: float = 0.0
    common: float = 0.0

    async def run(self) -> Answered:
        """Ask; times count from when a request was due, whatever the answers do."""
        found, numbers = Answered(), iter(range(self.first, self.first + self.requests))
        idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

        async def one(number: int, due: float) -> None:
            if number % 100 < self.common * 100:
                number %= _COMMON
            link = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", self.port)
            head = await post(*link, query(number))
            idle.append(link)
            if head.startswith(b"http/1.1 200"):
                found.took.append(time.perf_counter() - due)
            elif head.startswith(b"http/1.1 429") and b"retry-after: " in head:
                found.refused += 1
            else:
                found.failed += 1

        async def client() -> None:
            for number in numbers:
                await one(number, time.perf_counter())

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(self.clients):
                group.create_task(client())
            for place, number in enumerate(() if self.clients else numbers):
                due = began + place / self.per_s
                await asyncio.sleep(due - time.perf_counter())
                group.create_task(one(number, due))
        found.seconds = time.perf_counter() - began
        return found


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> bytes:
    """As OpenAI's client asks; the head of the answer."""
    body = json.dumps({"model": "ragwheel:query", "input": text, "encoding_format": "base64"})
    writer.write(
        b"POST /v1/embeddings HTTP/1.1\r\nhost: bench\r\ncontent-length: %d\r\n\r\n%b"
        % (len(body), body.encode())
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    return head


class Load:
    """The process that asks, as seen from here."""

    def __init__(self, port: int) -> None:
        self._port, self._first = port, _COMMON
        argv, pipe = [sys.executable, __file__, "--ask"], subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)

    def ask(self, requests: int, **how: float) -> Answered:
        """See `Ask`."""
        told = {"port": self._port, "requests": requests, "first": self._first, **how}
        self._first += requests
        print(json.dumps(told), file=self._process.stdin, flush=True)
        return Answered(**json.loads(cast("IO[str]", self._process.stdout).readline()))

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def query(number: int) -> str:
    """A question of a usual length, like no other."""
    return f"how do I rotate key number {number} of a service that runs already?"


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The process that users start, beside a database; its port, and itself."""
    log = folder / "server.log"
    with ClickHouseFront(folder / "clickhouse") as front:
        yield from _served(folder, log, front.url("bench"))


def _served(folder: Path, log: Path, clickhouse: str) -> Iterator[tuple[int, psutil.Process]]:
    with closing(
        connect(load(ClickHouseSettings, clickhouse_url=clickhouse), create_database=True)
    ) as client:
        migrate(client)
    env = os.environ | {
        "RAGWHEEL_CLICKHOUSE_URL": clickhouse,
        "RAGWHEEL_SERVING_PORT": "0", "RAGWHEEL_METRICS_PORT": "0",
        "RAGWHEEL_SERVING_CACHE_MB": "8", "RAGWHEEL_SERVING_DIR": str(folder),
        "RAGWHEEL_MODEL_DIR": str(folder), "RAGWHEEL_BASE_MODEL": str(packaged_model()),
    }  # fmt: skip
    argv = [sys.executable, "-m", "ragwheel.serving"]
    with log.open("w") as file:
        process = subprocess.Popen(argv, env=env, stdout=file, stderr=file)
    try:
        while (port := _ready_port(log.read_text())) is None:
            if process.poll() is not None:
                sys.exit(f"the server ended: {log.read_text()}")
            time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _ready_port(told: str) -> int | None:
    """Where it listens, once it serves a model."""
    found = re.search(r"listening at (http://127\.0\.0\.1:(\d+))", told)
    try:
        with urllib.request.urlopen(f"{found[1]}/readyz" if found else "", timeout=10):  # noqa: S310
            return int(found[2]) if found else None
    except (OSError, ValueError):
        return None


def cpu_s(process: psutil.Process) -> float:
    """Seconds of all cores that a process has used."""
    return float(sum(process.cpu_times()[:2]))


def raw(encoder: TextEncoder, texts: list[str], batch: int) -> list[float]:
    """Seconds of each raw encode."""
    took = []
    for at in range(0, len(texts), batch):
        began = time.perf_counter()
        encoder.encode(texts[at : at + batch], "query")
        took.append(time.perf_counter() - began)
    return took


def measure(load: Load, process: psutil.Process, rounds: int) -> Iterator[tuple[bool, str]]:
    """Speed and waits: whether each bar is met, and the figures."""
    encoder = load_encoder(packaged_model() or "", 128)
    raw(encoder, [query(0)] * 10, 1)
    spent = np.zeros(2)
    alone_raw, together_raw, alone, together, overload = [], [], [], [], []
    for turn in range(rounds):
        texts = [query(-number - turn * 1_000) for number in range(CLIENTS * 10)]
        alone_raw += raw(encoder, texts[:40], 1)
        alone.append(load.ask(40, clients=1))
        used = time.process_time(), cpu_s(process)
        together_raw += raw(encoder, texts, CLIENTS)
        together.append(load.ask(len(texts), clients=CLIENTS))
        spent += np.array([time.process_time(), cpu_s(process)]) - used
        per_s = OVERLOAD * together[-1].per_s
        overload.append(load.ask(int(per_s * _OVERLOADED_S), per_s=per_s))
    floor, idle = median(alone_raw) * 1e3, median(chain(*(each.took for each in alone))) * 1e3
    figures = f"{idle:.1f} ms, raw {floor:.1f} ms  (bar raw + {IDLE_MS:g} ms)"
    yield idle <= floor + IDLE_MS, f"one query, p50   {figures}"
    best, full = CLIENTS / median(together_raw), median(each.per_s for each in together)
    figures = f"{full:.0f} texts/s, raw {best:.0f}: {full / best:.2f} times  (bar ≥ {THROUGHPUT:g})"
    figures += f"; of CPU {spent[0] / spent[1]:.2f}"
    yield full >= THROUGHPUT * best, f"{CLIENTS} clients       {figures}"
    usual, most = (
        median(np.percentile(each.took, 99) for each in of) for of in (together, overload)
    )
    refused, failed = sum(each.refused for each in overload), sum(each.failed for each in overload)
    figures = (
        f"p99 {most * 1e3:.0f} ms, of {CLIENTS} clients {usual * 1e3:.0f} ms: {most / usual:.2f} "
        f"times  (bar ≤ {WAIT:g}); {refused} told when to come back, {failed} failed; "
        f"{median(each.per_s for each in overload) / full:.2f} of the throughput"
    )
    kept = most <= WAIT * usual and refused > 0 and not failed
    yield kept, f"{OVERLOAD} times as many  {figures}"


def hold(load: Load, process: psutil.Process, requests: int) -> Iterator[tuple[bool, str]]:
    """Memory: as `measure`. The first fifth fills the cache."""
    load.ask(requests // 5, clients=CLIENTS, common=0.5)
    before = process.memory_info().rss / 2**20
    load.ask(requests - requests // 5, clients=CLIENTS, common=0.5)
    grown = process.memory_info().rss / 2**20 - before
    figures = f"{before:.0f} MB, {grown:+.1f} MB after {requests} requests  (bar {GROWTH_MB:+g})"
    yield grown <= GROWTH_MB, f"memory           {figures}"


def main() -> int:
    """Run it; the exit status says whether every bar is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100_000, help="of the look at memory")
    parser.add_argument("--ask", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        for how in sys.stdin:
            print(json.dumps(asdict(asyncio.run(Ask(**json.loads(how)).run()))), flush=True)
        return 0
    all_met = True
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (port, process):
        load = Load(port)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        lines = measure(load, process, given.rounds), hold(load, process, given.requests)
        for met, line in chain(*lines):
            print(f"  {line}  {'met' if met else 'MISSED'}", flush=True)
            all_met &= met
        load.close()
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
