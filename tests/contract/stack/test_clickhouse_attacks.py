"""What the embedded ClickHouse does not do, whoever asks: it stays away from files, other servers
and programs, and pages in a browser stay away from it.
"""

from __future__ import annotations

import http.server
import os
import shutil
import stat
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragwheel.operations.credentials import password_file
from ragwheel.stack.clickhouse import ClickHouseFront

pytestmark = pytest.mark.integration

SECRET = "a-secret-of-the-user"
# {read} stands for a file with SECRET in it, {write} for a path where nothing is, {port} for one
# where a listener waits.

FILES = [
    "SELECT file('{read}')",
    "SELECT /* x */ FILE /* y */ -- z\n ('{read}')",
    "SELECT `file`('{read}'), \"fi\\x6ce\"('{read}')",
    "SELECT `fi\\x6ce` ('{read}')",
    "SELECT arrayMap(file, ['{read}'])",
    "SELECT arrayMap(x -> file(x), ['{read}'])",
    "SELECT * APPLY file FROM (SELECT '{read}')",
    "SELECT COLUMNS('.') APPLY(\"fi\\x6ce\") FROM (SELECT '{read}' AS x)",
    "WITH (SELECT file('{read}')) AS x SELECT x",
    "FROM numbers(1) SELECT file('{read}')",
    "SELECT 1; SELECT file('{read}')",
    "SELECT 1 ORDER BY file('{read}')",
    "EXPLAIN SELECT * FROM file('{read}', 'LineAsString')",
    "SELECT * FROM file('{read}', 'LineAsString')",
    "SELECT * FROM `file`('{read}', 'LineAsString', 'line String')",
    "SELECT * FROM `{read}`",
    "SELECT * FROM _working_directory.`{read}`",
    "DESCRIBE TABLE file('{read}')",
    "SELECT * FROM loop(file('{read}', 'LineAsString'))",
    "SELECT * FROM fileCluster('default', '{read}', 'LineAsString')",
    "SELECT * FROM filesystem('{read}')",
    "SELECT * FROM sqlite('{read}', 't')",
    "SELECT * FROM icebergLocal('{read}')",
    "SELECT * FROM deltaLakeLocal('{read}')",
    "SELECT * FROM format(JSONEachRow, 'a String DEFAULT fi' || 'le(''{read}'')', '{}')",
    "SELECT * FROM format(Values, 'a String', '(fi' || 'le(''{read}''))')",
    "SELECT * FROM eval('SELECT fi' || 'le(''{read}'')')",
    "SELECT * FROM numbers(1) SETTINGS additional_result_filter = 'fi\\x6ce(\\'{read}\\') = 1'",
    "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{read}'",
    "SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema = '{read}:M'",
    "SET dialect = 'kusto'",
    "SET input_format_values_interpret_expressions = 1",
    "INSERT INTO own VALUES (file('{read}'))",
    "INSERT INTO own FORMAT Values (file('{read}'))",
    "INSERT INTO own SELECT file('{read}')",
    "INSERT INTO own FROM INFILE '{read}' FORMAT LineAsString",
    "INSERT INTO own SELECT * FROM input('a String DEFAULT fi' || 'le(''{read}'')') FORMAT CSV x",
    "WITH 1 AS x INSERT INTO own FORMAT CSV 'a\n; SELECT file('{read}')",
    "CREATE TABLE x (a String) ENGINE = File(LineAsString, '{read}')",
    "CREATE TABLE x (a String) ENGINE = FileLog('{read}', 'LineAsString')",
    "CREATE TEMPORARY TABLE x (a String) ENGINE = File(CSV)",
    "CREATE TABLE x AS file('{read}', 'LineAsString')",
    "CREATE TABLE x (a String, b String DEFAULT file('{read}')) ENGINE = Memory",
    "CREATE VIEW x AS SELECT file('{read}')",
    "CREATE MATERIALIZED VIEW x ENGINE = File(CSV, '{write}') AS SELECT * FROM own",
    "ALTER TABLE own ADD COLUMN b String DEFAULT file('{read}')",
    "ATTACH TABLE x FROM '{write}' (a String) ENGINE = MergeTree ORDER BY a",
    "CREATE DATABASE x ENGINE = Filesystem('{read}')",
    "CREATE DATABASE x ENGINE = SQLite('{read}')",
    "CREATE DICTIONARY x (a String) PRIMARY KEY a SOURCE(FILE(PATH '{read}' FORMAT 'CSV'))"
    " LAYOUT(FLAT()) LIFETIME(0)",
    "SELECT 1 INTO OUTFILE '{write}'",
    "SELECT 1 into/**/outFile '{write}' TRUNCATE FORMAT CSV",
    "(SELECT 1) UNION ALL (SELECT 2) INTO OUTFILE '{write}'",
    "SHOW TABLES INTO OUTFILE '{write}'",
    "DESCRIBE TABLE own INTO OUTFILE '{write}'",
    "SHOW CREATE TABLE own INTO OUTFILE '{write}' FORMAT CSV",
    "EXPLAIN SELECT 1 INTO OUTFILE '{write}'",
    "INSERT INTO FUNCTION file('{write}', 'CSV', 'a String') SELECT 'x'",
    "INSERT INTO FUNCTION file('{write}', 'CSV', 'a String') VALUES ('x')",
    "INSERT INTO TABLE FUNCTION file('{write}', 'CSV', 'a String') FORMAT CSV\nx",
    "BACKUP TABLE own TO File('{write}')",
    "RESTORE TABLE own FROM File('{read}')",
    "CREATE TABLE x (a String) ENGINE = MergeTree ORDER BY a"
    " SETTINGS disk = disk(type = 'local', path = '{write}/')",
    "CREATE TABLE x (a String) ENGINE = EmbeddedRocksDB(0, '{write}') PRIMARY KEY a",
]
SERVERS = [
    "SELECT * FROM url('http://127.0.0.1:{port}/', 'CSV', 'a String')",
    "INSERT INTO FUNCTION url('http://127.0.0.1:{port}/', 'CSV', 'a String') VALUES ('x')",
    "CREATE TABLE x (a String) ENGINE = URL('http://127.0.0.1:{port}/', 'CSV')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/key', 'CSV', 'a String')",
    "SELECT * FROM gcs('http://127.0.0.1:{port}/bucket/key', 'CSV', 'a String')",
    "CREATE TABLE x (a String) ENGINE = S3('http://127.0.0.1:{port}/bucket/key', 'CSV')",
    "CREATE DATABASE x ENGINE = S3('http://127.0.0.1:{port}/bucket')",
    "SELECT * FROM azureBlobStorage('http://127.0.0.1:{port}/a', 'c', 'b', 'x', 'eA==', 'CSV')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:{port}/x', 'CSV', 'a String')",
    "SELECT * FROM remote('127.0.0.1:{port}', 'system', 'one')",
    "SELECT * FROM remoteSecure('127.0.0.1:{port}', 'system', 'one')",
    "CREATE DATABASE x ENGINE = Remote('127.0.0.1:{port}', 'd')",
    "SELECT * FROM mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "CREATE DATABASE x ENGINE = MySQL('127.0.0.1:{port}', 'd', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "CREATE DATABASE x ENGINE = PostgreSQL('127.0.0.1:{port}', 'd', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'a String')",
    "SELECT * FROM redis('127.0.0.1:{port}', 'a', 'a String')",
    "SELECT * FROM odbc('DSN=x;Server=127.0.0.1;Port={port}', 't')",
    "SELECT * FROM jdbc('jdbc:x://127.0.0.1:{port}/', 't')",
    "SELECT * FROM ytsaurus('http://127.0.0.1:{port}', '/t', 'x', 'a String')",
    "CREATE TABLE x (a String) ENGINE = Kafka('127.0.0.1:{port}', 't', 'g', 'CSV')",
    "CREATE TABLE x (a Int8) ENGINE = MergeTree ORDER BY a"
    " SETTINGS disk = disk(type = 'web', endpoint = 'http://127.0.0.1:{port}/x/')",
    "CREATE DATABASE x ENGINE = DataLakeCatalog('http://127.0.0.1:{port}/')"
    " SETTINGS catalog_type = 'rest', warehouse = 'w'",
    "CREATE DICTIONARY x (a String) PRIMARY KEY a"
    " SOURCE(HTTP(URL 'http://127.0.0.1:{port}/' FORMAT 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    "SELECT aiGenerate('x', map('endpoint', 'http://127.0.0.1:{port}/', 'credentials', 'x'))",
    "SELECT * FROM executable('id', 'LineAsString', 'a String')",
    "CREATE TABLE x (a String) ENGINE = Executable('id', 'LineAsString')",
    "CREATE FUNCTION x AS (a) -> a",
    "SELECT * FROM python('SECRET')",
    "SELECT * FROM Python(os)",
    "GRANT ALL ON *.* TO default",
    "CREATE USER x",
    "SYSTEM SHUTDOWN",
]


class Listener(http.server.ThreadingHTTPServer):
    """Notes whoever comes, and serves one page."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self.page = b""
        self.done = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def process_request(self, request: object, client_address: object) -> None:
        self.visits.append("connection")
        super().process_request(request, client_address)  # type: ignore[arg-type]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        self.server.visits.append(self.path)
        if self.path.startswith("/done"):
            self.server.done.set()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page)

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseFront]:
    with ClickHouseFront(tmp_path_factory.mktemp("clickhouse")) as started:
        status, text = ask(started, "CREATE TABLE own (a String) ENGINE = MergeTree ORDER BY a")
        assert status == 200, text
        yield started


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        yield server
        server.shutdown()


def ask(
    front: ClickHouseFront, statement: str, *, key: str | None = None, **fields: str
) -> tuple[int, str]:
    """Status and text of the answer, with the right password unless another is given."""
    url = f"http://127.0.0.1:{front.port}/?{urllib.parse.urlencode(fields)}"
    headers = {"X-ClickHouse-Key": front.password if key is None else key}
    request = urllib.request.Request(url, data=statement.encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("statement", [*FILES, *SERVERS])
def test_a_statement_that_reaches_beyond_the_tables_is_refused_and_does_nothing(
    front: ClickHouseFront, listener: Listener, tmp_path: Path, statement: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n", "utf-8")
    written = tmp_path / "written"
    for mark, value in (
        ("{read}", str(secret)),
        ("{write}", str(written)),
        ("{port}", str(listener.server_port)),
    ):
        statement = statement.replace(mark, value)
    status, text = ask(front, statement)
    assert status in (400, 403, 404, 500), text
    assert SECRET not in text
    assert not written.exists()
    assert listener.visits == []
    assert ask(front, "SELECT count() FROM own") == (200, "0\n")


def test_a_name_given_as_a_parameter_is_no_way_to_the_function(
    front: ClickHouseFront, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET, "utf-8")
    statement = f"SELECT arrayMap({{f:Identifier}}, ['{secret}'])"
    status, text = ask(front, statement, param_f="file")
    assert (status, SECRET in text) == (403, False)
    assert ask(front, "SELECT {f:String}", param_f="file") == (200, "file\n"), "a text is a text"


def test_texts_comments_and_data_may_say_what_they_like(front: ClickHouseFront) -> None:
    statement = "SELECT 'INTO OUTFILE', 'file(1)', /* file(2) */ 3 -- INTO OUTFILE 'x'"
    assert ask(front, statement) == (200, "INTO OUTFILE\tfile(1)\t3\n")
    assert ask(front, "CREATE TABLE said (a String, b UInt8) ENGINE = Memory")[0] == 200
    assert ask(front, "INSERT INTO said VALUES ('; SELECT file(1)', 1), ('it''s', 2);")[0] == 200
    assert ask(front, "SELECT count(), max(b) FROM said") == (200, "2\t2\n")


def test_one_request_is_one_statement(front: ClickHouseFront) -> None:
    status, text = ask(front, "SELECT 1; SELECT 2")
    assert status == 400
    assert "Multi-statements are not allowed" in text
    assert ask(front, "SELECT 1;") == (200, "1\n")


def test_another_user_of_this_machine_does_not_get_in(front: ClickHouseFront) -> None:
    for key in ("", "wrong", front.password[:-1]):
        status, text = ask(front, "SELECT 1", key=key)
        assert (status, "AUTHENTICATION_FAILED" in text) == (403, True)
        assert front.password not in text
    file = password_file(front.data_dir)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "and cannot read how"


def test_the_password_is_long_stays_and_is_no_argument_and_in_no_log(tmp_path: Path) -> None:
    with ClickHouseFront(tmp_path) as front:
        password, pid = front.password, front.pid
        assert len(password) >= 40
        if Path("/proc").is_dir():
            assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ask(front, "SELECT nonsense", key="wrong")
    assert password not in front.log_path.read_text("utf-8")
    assert password not in front.address
    with ClickHouseFront(tmp_path) as front:
        assert front.password == password, "URLs that a shell exported stay valid"


PAGE = """<body><script>
const front = "http://127.0.0.1:{front}/", known = "http://default:{password}@127.0.0.1:{front}/";
const insert = way => "INSERT INTO own VALUES ('" + way + "')";
const get = way => "?query=" + encodeURIComponent(
    "INSERT INTO FUNCTION file('{folder}/" + way + "', 'CSV', 'a String') VALUES ('x')");
const post = (way, more) =>
    fetch(front + "?way=" + way, {{method: "POST", body: insert(way), ...more}}).catch(() => 0);
const frame = url => {{
  const made = document.createElement("iframe");
  made.src = url; document.body.append(made); return made;
}};
const form = (way, enctype, target) => {{
  const made = document.createElement("form"), field = document.createElement("textarea");
  made.method = "POST"; made.enctype = enctype; made.action = target;
  const into = frame("about:blank"); into.name = made.target = "frame-" + way;
  field.name = "query"; field.value = insert(way);
  made.append(field); document.body.append(made); made.submit();
}};
const wait = ms => new Promise(done => setTimeout(done, ms));
(async () => {{
  await post("fetch", {{}});
  await post("no-cors", {{mode: "no-cors"}});
  await post("keepalive", {{mode: "no-cors", keepalive: true}});
  await post("credentials", {{mode: "no-cors", credentials: "include"}});
  await post("no-referrer", {{mode: "no-cors", referrerPolicy: "no-referrer"}});
  await post("key", {{headers: {{"X-ClickHouse-Key": "{password}"}}}});
  await post("basic", {{headers: {{Authorization: "Basic " + btoa("default:{password}")}}}});
  navigator.sendBeacon(front, insert("beacon"));
  for (const base of [front, known]) {{
    new Image().src = base + get("image");
    fetch(base + get("get"), {{mode: "no-cors"}}).catch(() => 0);
    frame(base + get("frame"));
    const script = document.createElement("script");
    script.src = base + get("script"); document.head.append(script);
    const style = document.createElement("link");
    style.rel = "stylesheet"; style.href = base + get("style"); document.head.append(style);
  }}
  form("form", "application/x-www-form-urlencoded", known);
  form("multipart", "multipart/form-data", known);
  form("text", "text/plain", known);
  try {{ new WebSocket(front.replace("http", "ws") + get("socket")); }} catch {{}}
  frame("http://rebound.test:{front}/" + get("rebound"));
  window.open(known + get("window"));
  await wait(3000);
  await fetch("/done");
}})();
</script></body>"""


@pytest.mark.slow
def test_a_page_in_a_real_browser_reaches_nothing_even_if_it_knows_the_password(
    front: ClickHouseFront, listener: Listener, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("RAGWHEEL_CI"):
            pytest.fail("chromium is not installed: make system-tools")
        pytest.skip("chromium is not installed: make system-tools")
    folder = tmp_path / "written"
    folder.mkdir()
    listener.page = PAGE.format(front=front.port, password=front.password, folder=folder).encode()
    log = tmp_path / "network.json"
    browser = subprocess.Popen(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-popup-blocking",
            "--no-first-run",
            "--host-resolver-rules=MAP rebound.test 127.0.0.1",
            f"--log-net-log={log}",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--remote-debugging-port=0",
            f"http://127.0.0.1:{listener.server_port}/",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert listener.done.wait(120), "the page did not finish"
    finally:
        browser.terminate()
        browser.wait(30)
    sent = log.read_text("utf-8")
    for way in ("no-cors", "keepalive", "image", "frame", "script", "rebound"):
        assert way in sent, f"the browser never tried {way}, so nothing is proven"
    assert ask(front, "SELECT groupArray(a) FROM own") == (200, "[]\n")
    assert list(folder.iterdir()) == []
