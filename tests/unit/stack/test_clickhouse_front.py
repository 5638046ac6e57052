"""The HTTP side of the embedded ClickHouse, with a fake engine behind it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, encode_basic_auth
from aiohttp.test_utils import unused_port
from aiohttp.web import TCPSite

from ragwheel.stack.clickhouse.engine import EngineError, Result, Statistics
from ragwheel.stack.clickhouse.front import Front, Limits

PASSWORD = "p:ss/wörd"
LIMITS = Limits(body_bytes=100_000, statement_bytes=10_000)


@dataclass
class FakeInsert:
    data: bytes = b""
    state: str = "open"
    rows_written: int = 0
    bytes_written: int = 0
    elapsed: float = 0.0

    def append(self, data: bytes) -> None:
        self.data += data

    def finish(self) -> FakeInsert:
        if b"poison" in self.data:
            raise RuntimeError("Streaming insert finish failed: Code: 27. DB::Exception: no. (X)")
        self.state = "finished"
        return self

    def cancel(self) -> None:
        if self.state == "open":
            self.state = "cancelled"


@dataclass
class FakeSession:
    engine: FakeEngine
    opened_with: Mapping[str, Any]
    closed: bool = False

    def query(self, sql: bytes, output_format: str) -> Result:
        self.engine.queries.append((sql, output_format))
        if b"nowhere" in sql:
            raise EngineError(60, "Code: 60. DB::Exception: no table. (UNKNOWN_TABLE)")
        return Result(b"1\n", Statistics(read_rows=1))

    def stream(self, sql: bytes, output_format: str) -> Generator[bytes, None, None]:
        for number in range(self.engine.blocks):
            yield b"block %d\n" % number
        if b"late" in sql:
            raise EngineError(395, "Code: 395. DB::Exception: late. (X)")

    def insert(self, statement: bytes, data_format: str) -> FakeInsert:
        if b"nowhere" in statement:
            raise EngineError(60, "Code: 60. DB::Exception: no table. (UNKNOWN_TABLE)")
        self.engine.inserts.append(FakeInsert())
        self.engine.statements.append((statement, data_format))
        return self.engine.inserts[-1]

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeEngine:
    blocks: int = 3
    queries: list[tuple[bytes, str]] = field(default_factory=list)
    statements: list[tuple[bytes, str]] = field(default_factory=list)
    inserts: list[FakeInsert] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)

    def version(self) -> str:
        return "1.2.3"

    def ask(self, question: bytes) -> bytes:
        """A tree without anything in it, for whatever statement."""
        return b'["{}", 1]' if b"parseQueryToJSON" in question else b""

    def open_session(self, **options: Any) -> FakeSession:
        self.sessions.append(FakeSession(self, options))
        return self.sessions[-1]


@dataclass
class Rig:
    engine: FakeEngine
    http: ClientSession
    url: str
    port: int

    async def post(
        self,
        body: object,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with self.http.post(self.url, data=body, params=params, headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    engine = FakeEngine()
    front = Front(engine, PASSWORD, LIMITS)  # type: ignore[arg-type]
    runner = front.runner()
    await runner.setup()
    port = unused_port()
    await TCPSite(runner, "127.0.0.1", port).start()
    headers = {"Authorization": encode_basic_auth("default", PASSWORD)}
    async with ClientSession(connector=TCPConnector(force_close=True), headers=headers) as http:
        yield Rig(engine, http, f"http://127.0.0.1:{port}/", port)
    await runner.cleanup()
    front.close()
    assert all(session.closed for session in engine.sessions)


async def test_url_parameters_are_sorted_into_settings_values_and_transport(rig: Rig) -> None:
    params = {
        "database": "d",
        "max_threads": "2",
        "param_x": "it's",
        "session_id": "s",
        "query_id": "q1",
        "wait_end_of_query": "1",
        "default_format": "JSON",
    }
    status, headers, _ = await rig.post(b"SELECT {x:String}", params)
    assert (status, headers["X-ClickHouse-Query-Id"]) == (200, "q1")
    assert headers["X-ClickHouse-Format"] == "JSON"
    assert rig.engine.sessions[0].opened_with == {
        "database": "d",
        "settings": {"max_threads": "2"},
        "parameters": {"x": "it's"},
    }
    assert rig.engine.queries == [(b"SELECT {x:String}", "JSON")]


async def test_a_query_in_the_url_stands_before_the_body(rig: Rig) -> None:
    await rig.post(b"(1)", {"query": "INSERT INTO t VALUES"})
    await rig.post(b"\nA", {"query": "INSERT INTO t FORMAT CSV"})
    assert rig.engine.statements == [(b"INSERT INTO t ", "Values"), (b"INSERT INTO t ", "CSV")]
    assert [insert.data for insert in rig.engine.inserts] == [b"\n(1)", b"\nA"]
    await rig.post(b"LIKE 1", {"query": "SHOW TABLES"})
    assert rig.engine.queries[0][0] == b"SHOW TABLES\nLIKE 1"


async def test_an_insert_passes_its_decoded_data_on(rig: Rig) -> None:
    data = b"row\n" * 20_000
    body = gzip.compress(b"INSERT INTO t FORMAT CSV\n") + gzip.compress(data)
    status, _, _ = await rig.post(body, headers={"Content-Encoding": "gzip"})
    assert status == 200
    assert rig.engine.inserts[0].state == "finished"
    assert rig.engine.inserts[0].data == data


async def test_an_insert_that_fails_is_cancelled_and_answered_with_the_code(rig: Rig) -> None:
    status, headers, text = await rig.post(b"INSERT INTO t FORMAT CSV\npoison")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (400, "27")
    assert text == b"Code: 27. DB::Exception: no. (X) (version 1.2.3)\n"
    assert rig.engine.inserts[0].state == "cancelled"


async def test_a_body_above_the_bound_is_refused_and_its_insert_cancelled(rig: Rig) -> None:
    body = gzip.compress(b"INSERT INTO t FORMAT CSV\n" + b"x" * (LIMITS.body_bytes + 1))
    status, headers, text = await rig.post(body, headers={"Content-Encoding": "gzip"})
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (413, "307")
    assert b"larger than 100000 bytes" in text
    assert [insert.state for insert in rig.engine.inserts] in ([], ["cancelled"])


async def test_a_statement_above_the_bound_is_refused(rig: Rig) -> None:
    status, _, text = await rig.post(b"SELECT '" + b"x" * LIMITS.statement_bytes + b"'")
    assert status == 413
    assert b"longer than 10000 bytes" in text
    assert rig.engine.queries == []


async def test_an_error_is_answered_after_the_body_was_read(rig: Rig) -> None:
    async def slow_body() -> AsyncIterator[bytes]:
        yield b"INSERT INTO nowhere FORMAT CSV\n"
        for _ in range(50):
            yield b"x" * 1000

    status, headers, _ = await rig.post(slow_body())
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (404, "60")


async def test_a_client_that_leaves_in_mid_insert_inserts_nothing(rig: Rig) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
        b"Authorization: " + encode_basic_auth("default", PASSWORD).encode() + b"\r\n\r\n"
        b"INSERT INTO t FORMAT CSV\nhalf of it"
    )
    await writer.drain()
    async with asyncio.timeout(10):
        while not (rig.engine.inserts and rig.engine.inserts[0].data):
            await asyncio.sleep(0.01)
        writer.close()
        while rig.engine.inserts[0].state == "open":
            await asyncio.sleep(0.01)
    assert rig.engine.inserts[0].state == "cancelled"


async def test_a_select_streams_its_blocks(rig: Rig) -> None:
    status, headers, text = await rig.post(b"SELECT 1 FORMAT Native")
    assert (status, text) == (200, b"block 0\nblock 1\nblock 2\n")
    assert headers["X-ClickHouse-Format"] == "Native"


async def test_an_error_after_the_first_block_is_sent_in_the_servers_form(rig: Rig) -> None:
    status, headers, text = await rig.post(b"SELECT 'late' FORMAT Native")
    tag = headers["X-ClickHouse-Exception-Tag"].encode()
    assert status == 200
    blocks, _, error = text.partition(b"\r\n__exception__\r\n" + tag + b"\r\n")
    assert blocks == b"block 0\nblock 1\nblock 2\n"
    message, _, footer = error.rpartition(b"\n" + b"%d " % (len(error.partition(b"\n")[0]) + 1))
    assert message == b"Code: 395. DB::Exception: late. (X)"
    assert footer == tag + b"\r\n__exception__\r\n"


async def test_an_error_before_the_first_block_has_its_status(rig: Rig) -> None:
    rig.engine.blocks = 0
    status, headers, _ = await rig.post(b"SELECT 'late' FORMAT Native")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "395")


async def test_get_is_read_only_and_answers_health_checks(rig: Rig) -> None:
    async with rig.http.get(rig.url, params={"query": "SHOW TABLES"}) as answer:
        assert answer.status == 200
    assert rig.engine.sessions[0].opened_with["settings"] == {"readonly": "2"}
    for path in ("", "ping"):
        async with rig.http.get(rig.url + path) as answer:
            assert await answer.text() == "Ok.\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://example.org"},
        {"Origin": "null"},
        {"Host": "example.org"},
        {"Host": "127.0.0.1.example.org"},
        {"Host": "localhost."},
        {"Host": "example.org:127.0.0.1"},
        {"Host": "[::ffff:127.0.0.1]"},
        {"Host": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "CROSS-SITE"},
        {"Sec-Fetch-Site": ""},
        {"Referer": "http://example.org/"},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        {"Access-Control-Request-Method": "POST"},
    ],
)
async def test_requests_of_web_pages_are_refused_even_with_the_password(
    rig: Rig, headers: dict[str, str]
) -> None:
    status, _, text = await rig.post(b"SELECT 1", headers=headers)
    assert (status, b"ACCESS_DENIED" in text) == (403, True)
    assert rig.engine.sessions == []


@pytest.mark.parametrize(
    "headers", [{}, {"Host": "localhost:1"}, {"Host": "[::1]:8"}, {"Sec-Fetch-Site": "none"}]
)
async def test_other_programs_of_this_machine_are_served(rig: Rig, headers: dict[str, str]) -> None:
    assert (await rig.post(b"SELECT 1", headers=headers))[0] == 200


async def test_a_preflight_of_a_page_gets_no_leave(rig: Rig) -> None:
    headers = {"Origin": "http://example.org", "Access-Control-Request-Method": "POST"}
    async with rig.http.options(rig.url, headers=headers) as answer:
        assert answer.status == 405
        assert not [name for name in answer.headers if name.startswith("Access-Control-Allow")]


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(user, password)}


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({}, {}),
        (_basic("default", ""), {}),
        (_basic("default", "wrong"), {}),
        (_basic("default", PASSWORD + "x"), {}),
        (_basic("default", PASSWORD[:-1]), {}),
        (_basic("admin", PASSWORD), {}),
        (_basic("", PASSWORD), {}),
        ({"Authorization": f"Bearer {PASSWORD}".encode().decode("latin-1")}, {}),
        ({"Authorization": "Basic ***"}, {}),
        ({"X-ClickHouse-User": "default"}, {}),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": "wrong"}, {}),
        ({}, {"user": "default", "password": PASSWORD}),
    ],
)
async def test_who_does_not_show_the_password_gets_a_servers_refusal(
    rig: Rig, headers: dict[str, str], params: dict[str, str]
) -> None:
    async with (
        ClientSession() as stranger,
        stranger.post(rig.url, data=b"SELECT 1", headers=headers, params=params) as answer,
    ):
        assert answer.status == 403
        assert answer.headers["X-ClickHouse-Exception-Code"] == "516"
        assert "WWW-Authenticate" not in answer.headers, "a browser would ask the user"
        text = await answer.text()
    assert "AUTHENTICATION_FAILED" in text
    assert PASSWORD not in text
    assert rig.engine.sessions == []


async def test_the_password_is_taken_in_clickhouses_own_headers_too(rig: Rig) -> None:
    headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}
    async with (
        ClientSession() as other,
        other.post(rig.url, data=b"SELECT 1", headers=headers) as answer,
    ):
        assert answer.status == 200


async def test_external_tables_are_refused_by_name(rig: Rig) -> None:
    from aiohttp import FormData

    form = FormData()
    form.add_field("query", "SELECT * FROM ext")
    form.add_field("ext", b"1\n", filename="ext.tsv")
    status, _, text = await rig.post(form)
    assert status == 501
    assert b"external table 'ext'" in text
