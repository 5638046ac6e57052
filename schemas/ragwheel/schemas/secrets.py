"""Values that open doors, in types that no log, message or repr can show.

A secret is a `SecretStr` from the moment it is read; only the code that hands it to a driver asks
for its value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, get_args
from urllib.parse import unquote

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


def is_secret(annotation: Any) -> bool:
    """Whether values of this type, or of a union with it, are secrets."""
    kinds = get_args(annotation) or (annotation,)
    return any(isinstance(kind, type) and issubclass(kind, SecretStr) for kind in kinds)
