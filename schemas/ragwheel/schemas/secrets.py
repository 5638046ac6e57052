"""Values that open doors, in types that no log, message or repr can show.

A secret is a `SecretStr` from the moment it is read; only the code that hands it to a driver asks
for its value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, get_args
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

from ragwheel.schemas.errors import ConfigError

_ADDRESS = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?(?P<path>/.*)?"
)
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORM = "expected http(s)://user:password@host:port/database in RAGWHEEL_CLICKHOUSE_URL"
_PORTS = {"http": 8123, "https": 8443}
_UNREADABLE = "…"


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    """What a ClickHouse URL says, credentials percent-decoded."""

    scheme: str
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)


class ClickHouseUrl(SecretStr):
    """`http(s)://user:password@host:port/database`, shown without user and password.

    The credentials end at the last `@`, so a password may hold any characters; `%` before two
    hexadecimal digits is the start of an encoded one.
    """

    def address(self) -> ClickHouseAddress:
        """The parts.

        Raises:
            ConfigError: it cannot be read; what may belong to the credentials is not shown.
        """
        scheme, credentials, where = self._parts()
        if where is None or scheme not in _PORTS or int(where["port"] or 0) > 65_535:
            raise ConfigError(f"{self} cannot be read: {_FORM}")
        database = (where["path"] or "").strip("/") or "ragwheel"
        if not _DATABASE.fullmatch(database):
            raise ConfigError(f"{self} names no database of letters, digits and _: {_FORM}")
        user, _, password = credentials.partition(":")
        return ClickHouseAddress(
            scheme,
            where["host"].strip("[]"),
            int(where["port"] or _PORTS[scheme]),
            database,
            unquote(user) or "default",
            unquote(password),
        )

    def _parts(self) -> tuple[str, str, re.Match[str] | None]:
        scheme, _, rest = self.get_secret_value().partition("://")
        credentials, _, where = rest.rpartition("@")
        return scheme, credentials, _ADDRESS.fullmatch(where)

    def _display(self) -> str:
        """The URL without credentials: what `str` and `repr` show."""
        scheme, _, where = self._parts()
        if where is None or not re.fullmatch(r"[a-z]{1,20}", scheme):
            return _UNREADABLE
        path = where["path"] or ""
        shown = path if _DATABASE.fullmatch(path.strip("/")) else f"/{_UNREADABLE}" * bool(path)
        return f"{scheme}://{where[0].removesuffix(path)}{shown}"


class StoreUrl(SecretStr):
    """`scheme://user:password@host/path?options#name` of a vector store.

    Shown without user, password and options. The credentials end at the last `@`, as above.
    """

    @property
    def scheme(self) -> str:
        """What is before `://`; empty if nothing is."""
        scheme, found, _ = self.get_secret_value().partition("://")
        return scheme if found else ""

    @property
    def fragment(self) -> str:
        """The name behind `#`: what services search."""
        return self.get_secret_value().rpartition("@")[2].partition("#")[2]

    @property
    def where(self) -> str:
        """Host, port and path."""
        rest = self.get_secret_value().partition("://")[2].rpartition("@")[2]
        return re.split(r"[?#]", rest, maxsplit=1)[0]

    def credentials(self) -> tuple[str, str]:
        """User and password, percent-decoded; a key alone is the password."""
        user, found, password = self._credentials().partition(":")
        return (unquote(user), unquote(password)) if found else ("", unquote(user))

    @property
    def options(self) -> str:
        """What is between path and name, with its `?`; may hold secrets."""
        rest = self.get_secret_value().rpartition("@")[2].partition("#")[0]
        return "?" * ("?" in rest) + rest.partition("?")[2]

    def hide(self, message: str) -> str:
        """A driver's message without what may be a secret of this URL."""
        parts = {*self.credentials(), *re.split(r"[:/@]", self._credentials())}
        parts |= {value for _, value in parse_qsl(self.options[1:])}
        for part in sorted(parts - {""}, key=len, reverse=True):
            message = message.replace(part, _UNREADABLE)
        return message

    def _credentials(self) -> str:
        return self.get_secret_value().partition("://")[2].rpartition("@")[0]

    def _display(self) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9+]{0,30}", self.scheme):
            return _UNREADABLE
        return f"{self.scheme}://{self.where}#{self.fragment}"


def is_secret(annotation: Any) -> bool:
    """Whether values of this type, or of a union with it, are secrets."""
    kinds = get_args(annotation) or (annotation,)
    return any(isinstance(kind, type) and issubclass(kind, SecretStr) for kind in kinds)
