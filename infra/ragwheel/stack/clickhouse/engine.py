"""The chDB engine: one per process, one short-lived session per request. All calls block.

A session of its own for each request costs about 1 ms and keeps databases, settings and parameters
of different requests apart, as separate HTTP requests are on a server. Sessions run in parallel;
chDB releases the interpreter lock while it works.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from ragwheel.schemas.errors import DependencyError

_CODE = re.compile(r"Code: (\d+)\. ")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNKNOWN_SETTING = 115
_STANDARD_EXCEPTION = 1001


class EngineError(Exception):
    """The engine refused a statement.

    Attributes:
        code: ClickHouse's error code, e.g. 60 for an unknown table.
        message: begins with `Code: `.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def from_chdb(cls, error: Exception) -> EngineError:
        """From what chDB raised; its own words before `Code:` are dropped."""
        text = str(error).strip()
        if match := _CODE.search(text):
            return cls(int(match.group(1)), text[match.start() :])
        return cls.of(_STANDARD_EXCEPTION, text, "STD_EXCEPTION")

    @classmethod
    def of(cls, code: int, text: str, name: str) -> EngineError:
        """In the words of a server."""
        return cls(code, f"Code: {code}. DB::Exception: {text}. ({name})")


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a statement did, as far as the engine says."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """A statement's whole answer in the wanted format."""

    body: bytes
    statistics: Statistics


class Insert(Protocol):
    """An insert in progress; up to a million rows become visible at once, by `finish`."""

    def append(self, data: bytes) -> None:
        """Takes the next bytes of the data, cut anywhere."""

    def finish(self) -> Any:
        """Commits; answers with `rows_written`, `bytes_written`, `elapsed`."""

    def cancel(self) -> None:
        """Drops what was not committed. Idempotent, and a no-op after `finish`."""


class Engine:
    """The embedded ClickHouse of this process.

    Args:
        path: directory of the data, created if missing. chDB lets no other process open it, and
            this process no other directory while it is open.
    """

    def __init__(self, path: Path) -> None:
        try:
            import chdb
        except ImportError as error:
            raise DependencyError("chdb", 'pip install "ragwheel[local]"') from error
        # chdb is only partly annotated.
        self._connect = cast("Callable[[str], Any]", chdb.connect)
        self._path = str(path)
        # The engine lives as long as some connection does.
        self._anchor = self._connect(self._path)

    def version(self) -> str:
        """ClickHouse's version."""
        body: bytes = self._anchor.query("SELECT version()", "TabSeparated").bytes()
        return body.decode().strip()

    def close(self) -> None:
        """Closes the engine; sessions must be closed before."""
        self._anchor.close()

    @contextmanager
    def session(
        self,
        *,
        database: str = "",
        settings: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Iterator[Session]:
        """A session with its own database, settings and query parameters.

        Raises:
            EngineError: a setting or the database is unknown.
        """
        session = self.open_session(database=database, settings=settings, parameters=parameters)
        try:
            yield session
        finally:
            session.close()

    def open_session(
        self,
        *,
        database: str = "",
        settings: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Session:
        """Like `session`, for callers that close it themselves."""
        connection = self._connect(self._path)
        try:
            if database:
                connection.query(f"USE {_quoted_name(database)}")
            if settings:
                # Values quoted always: ClickHouse converts them to the setting's type.
                pairs = (f"{_checked(name)} = {_quoted(value)}" for name, value in settings.items())
                connection.query(f"SET {', '.join(pairs)}")
        except EngineError:
            connection.close()
            raise
        except RuntimeError as error:
            connection.close()
            raise EngineError.from_chdb(error) from error
        return Session(connection, dict(parameters or {}))


class Session:
    """One request's view of the engine. Used by one thread at a time.

    Statements are bytes, because a server takes strings that are not UTF-8 too.
    """

    def __init__(self, connection: Any, parameters: dict[str, str]) -> None:
        self._connection = connection
        self._parameters = parameters

    def query(self, sql: bytes, output_format: str) -> Result:
        """Runs a statement; a FORMAT clause in it wins over `output_format`.

        Raises:
            EngineError: the engine refuses it.
        """
        try:
            result = self._connection.query(sql, output_format, params=self._parameters)
            return Result(
                result.bytes() or b"",
                Statistics(
                    read_rows=result.rows_read(),
                    read_bytes=result.bytes_read(),
                    elapsed_s=result.elapsed(),
                ),
            )
        except RuntimeError as error:
            raise EngineError.from_chdb(error) from error

    def stream(self, sql: bytes, output_format: str) -> Generator[bytes, None, None]:
        """Runs a SELECT and yields its answer block by block, in bounded memory.

        Each block is a complete text of the format: only for formats without head and foot.

        Raises:
            EngineError: the engine refuses it, before or between blocks.
        """
        try:
            blocks = self._connection.send_query(sql, output_format, params=self._parameters)
            try:
                for block in blocks:
                    yield block.bytes()
            finally:
                blocks.close()
        except RuntimeError as error:
            raise EngineError.from_chdb(error) from error

    def insert(self, statement: bytes, data_format: str) -> Insert:
        """Begins an insert whose data is appended piece by piece, in bounded memory.

        Raises:
            EngineError: the table or a column is unknown.
        """
        try:
            if self._parameters:
                pairs = (
                    f"param_{_checked(name)} = {_quoted(value)}"
                    for name, value in self._parameters.items()
                )
                self._connection.query(f"SET {', '.join(pairs)}")
            insert: Insert = self._connection.send_insert(statement, data_format)
            return insert
        except RuntimeError as error:
            raise EngineError.from_chdb(error) from error

    def close(self) -> None:
        """Ends the session; a stream or an insert still open is cancelled."""
        self._connection.close()


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise EngineError.of(_UNKNOWN_SETTING, f"Unknown setting {name!r}", "UNKNOWN_SETTING")
    return name


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quoted_name(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
