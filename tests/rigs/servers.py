"""The servers of one test run: Kafka and ClickHouse, started when first asked for, used by all.

One process owns them: pytest itself, or its controller when pytest-xdist spreads the tests over
workers. Workers ask it over loopback. The servers end with their owner, by whatever signal it ends
(`ragwheel.stack.processes`).
"""

from __future__ import annotations

import http.server
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import orjson

from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.stack.kafka import KafkaBroker

#: Starting a server on a machine that does many other things, seconds.
_PATIENCE_S = 240.0


@dataclass(frozen=True, slots=True)
class SharedKafka:
    """The run's broker. Tests use it and leave it alone."""

    bootstrap_servers: str
    folder: str

    @property
    def data_dir(self) -> Path:
        """Where it keeps its data."""
        return Path(self.folder)


@dataclass(frozen=True, slots=True)
class SharedClickHouse:
    """The run's database server, or one that somebody else runs."""

    address: str

    def url(self, database: str = "default") -> str:
        """For RAGWHEEL_CLICKHOUSE_URL."""
        return f"{self.address}/{database}"


class Servers(Protocol):
    """Where a test process finds its servers. Each call may wait for a server to start."""

    def kafka(self) -> SharedKafka:
        """The broker; use a topic prefix to stay apart."""

    def clickhouse(self) -> SharedClickHouse:
        """The embedded engine; use a database to stay apart."""


class OwnServers:
    """Starts each server once; `stop` ends them."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._lock = threading.Lock()
        self._kafka: SharedKafka | None = None
        self._clickhouse: SharedClickHouse | None = None
        self._door: http.server.ThreadingHTTPServer | None = None

    def kafka(self) -> SharedKafka:
        """See `Servers`."""
        with self._lock:
            if self._kafka is None:
                broker = self._running.enter_context(KafkaBroker(self._folder("kafka")))
                self._kafka = SharedKafka(broker.bootstrap_servers, str(broker.data_dir))
            return self._kafka

    def clickhouse(self) -> SharedClickHouse:
        """See `Servers`."""
        with self._lock:
            if self._clickhouse is None:
                front = self._running.enter_context(ClickHouseFront(self._folder("clickhouse")))
                self._clickhouse = SharedClickHouse(front.url("").rstrip("/"))
            return self._clickhouse

    def open_door(self) -> str:
        """Address at which workers ask."""
        if self._door is None:
            self._door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _answering(self))
            self._running.callback(self._door.server_close)
            self._running.callback(self._door.shutdown)
            threading.Thread(target=self._door.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{self._door.server_address[1]}"

    def stop(self) -> None:
        """Ends what was started. Idempotent."""
        self._running.close()

    def _folder(self, name: str) -> Path:
        made = tempfile.TemporaryDirectory(prefix=f"ragwheel-tests-{name}-")
        return Path(self._running.enter_context(made))


class ServersOfController:
    """A worker's way to the servers of its controller.

    Args:
        door: from `OwnServers.open_door`.
    """

    def __init__(self, door: str) -> None:
        self._door = door

    def kafka(self) -> SharedKafka:
        """See `Servers`."""
        return SharedKafka(**self._ask("kafka"))

    def clickhouse(self) -> SharedClickHouse:
        """See `Servers`."""
        return SharedClickHouse(**self._ask("clickhouse"))

    def _ask(self, name: str) -> dict[str, str]:
        try:
            url = f"{self._door}/{name}"
            with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310 - ours
                found: dict[str, str] = orjson.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{name} did not start: {error.read().decode()}") from None


def _answering(servers: OwnServers) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = 200, b""
            try:
                found = servers.kafka() if self.path == "/kafka" else servers.clickhouse()
                body = orjson.dumps(asdict(found))
            except Exception as error:  # noqa: BLE001 - told to the worker, whose test fails
                status, body = 500, str(error).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    return Handler
