"""A ClickHouse with users and grants: the embedded engine, which has neither, behind a guard.

The guard takes documented GRANT statements at their word, and refuses what they do not allow with
the codes of a server. It knows the statements that ragwheel sends, not SQL.
"""

from __future__ import annotations

import http.client
import http.server
import re
import ssl
import threading
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Mapping
from typing import Self
from urllib.parse import parse_qs, urlsplit

import lz4.frame  # type: ignore[import-untyped]
from tests.rigs.certificates import Certificate

from ragwheel.schemas.migrations import migrations
from ragwheel.schemas.secrets import ClickHouseAddress

#: Tables of `system` that a server shows to everybody.
_OPEN = {"settings", "tables", "columns", "databases", "one"}
_GRANT = re.compile(r"GRANT ([\w, ]+?)\s+ON ([\w.*]+)\s+TO ([\w,\s]+);")
_RELATION = re.compile(
    r"(?:FROM|JOIN|TABLE|INTO|VIEW)\s+(?:IF NOT EXISTS )?([\w.]+)", re.IGNORECASE
)
_VIEW = re.compile(r"CREATE VIEW IF NOT EXISTS (\w+) AS(.*?);", re.DOTALL)
_HEAD_BYTES = 65_536
_VERBS = ("CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "ALTER", "DROP", "INSERT")


class Grants:
    """What the GRANT statements of `sql` allow, `database` standing for `ragwheel`."""

    def __init__(self, sql: str, database: str) -> None:
        self._database = database
        self._granted: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for privileges, target, users in _GRANT.findall(sql):
            for user in users.split(","):
                for privilege in privileges.split(","):
                    self._granted[user.strip()].add((privilege.strip(), target))
        views = "".join(migration.up for migration in migrations())
        self._relations = {"schema_migrations", *re.findall(r"IF NOT EXISTS (\w+)", views)}
        self._views = {name: set(_RELATION.findall(body)) for name, body in _VIEW.findall(views)}

    def refused(self, user: str, statement: str) -> str:
        """The privilege that the user lacks, empty if none."""
        text = re.sub(r"/\*.*?\*/|^--.*?$", " ", statement, flags=re.DOTALL | re.MULTILINE).strip()
        verb = next((each for each in _VERBS if text.upper().startswith(each)), "SELECT")
        text = text.partition(" FORMAT Native")[0]  # what follows are rows
        text = text.replace("`", "").replace(f"{self._database}.", "ragwheel.")
        named = _RELATION.findall(text)
        if verb == "CREATE DATABASE":
            return "" if self._may(user, verb, "ragwheel.any") else verb
        if verb != "SELECT":
            target, *named = named
            if not self._may(user, verb, _full(target)):
                return f"{verb} ON {target}"
        look = text.upper().startswith(("DESCRIBE", "EXISTS"))  # whoever may do anything may look
        for name in named:
            if not (self._knows(user, _full(name)) if look else self._may_read(user, name)):
                return f"SELECT ON {name}"
        return ""

    def _may_read(self, user: str, name: str) -> bool:
        schema, _, table = _full(name).partition(".")
        if schema == "system" and table in _OPEN:
            return True
        if schema == "ragwheel" and table not in self._relations:
            return True  # a name of the statement's own
        return self._may(user, "SELECT", _full(name)) and all(
            self._may_read(user, each) for each in self._views.get(table, ())
        )

    def _knows(self, user: str, target: str) -> bool:
        return any(granted in (target, "ragwheel.*") for _, granted in self._granted[user])

    def _may(self, user: str, privilege: str, target: str) -> bool:
        granted = self._granted[user]
        return (privilege, target) in granted or (
            target.startswith("ragwheel.") and (privilege, "ragwheel.*") in granted
        )


def _full(name: str) -> str:
    return name if "." in name else f"ragwheel.{name}"


class GuardedClickHouse:
    """Users with passwords before `upstream`, over https if it has a certificate.

    `refusals` keeps (user, what was refused). A context manager.
    """

    def __init__(
        self,
        upstream: ClickHouseAddress,
        passwords: Mapping[str, str],
        grants: Grants,
        certificate: Certificate | None = None,
    ) -> None:
        self.refusals: list[tuple[str, str]] = []
        self._database = upstream.database
        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), _handler(self, upstream, passwords, grants)
        )
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"

    @property
    def url(self) -> str:
        """Without credentials."""
        port = self._server.server_address[1]
        return f"{self._scheme}://127.0.0.1:{port}/{self._database}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(
    guard: GuardedClickHouse,
    upstream: ClickHouseAddress,
    passwords: Mapping[str, str],
    grants: Grants,
) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            user, _, password = self._credentials().partition(":")
            if passwords.get(user) != password:
                self._answer(403, 516, f"{user}: Authentication failed")
                return
            asked = parse_qs(urlsplit(self.path).query)
            head = f"{asked.get('query', [''])[0]}\n{self._head_of(body)}"
            if lacking := grants.refused(user, head):
                guard.refusals.append((user, lacking))
                self._answer(403, 497, f"{user}: Not enough privileges: {lacking}")
                return
            self._forward(body)

        do_GET = do_POST

        def _credentials(self) -> str:
            return b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _head_of(self, body: bytes) -> str:
            if self.headers.get("Content-Encoding") == "lz4":
                body = lz4.frame.LZ4FrameDecompressor().decompress(body, _HEAD_BYTES)
            return body[:_HEAD_BYTES].decode("latin-1")

        def _forward(self, body: bytes) -> None:
            own = f"{upstream.user}:{upstream.password}".encode()
            kept = {"content-encoding", "content-type", "accept-encoding"}
            headers = {n: v for n, v in self.headers.items() if n.lower() in kept}
            headers["Authorization"] = f"Basic {b64encode(own).decode()}"
            link = http.client.HTTPConnection(upstream.host, upstream.port, timeout=60)
            link.request(self.command, self.path, body, headers)
            answer = link.getresponse()
            told = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in (
                    "transfer-encoding",
                    "content-length",
                    "connection",
                    "date",
                ):
                    self.send_header(name, value)
            self._end(told)
            link.close()

        def _answer(self, status: int, code: int, words: str) -> None:
            self.send_response(status)
            self.send_header("X-ClickHouse-Exception-Code", str(code))
            self._end(f"Code: {code}. DB::Exception: {words}. (version 26.9)\n".encode())

        def _end(self, body: bytes) -> None:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    return Handler
