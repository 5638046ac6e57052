"""The chDB engine: one per process, one short-lived session per request. All calls block.

A session of its own for each request costs about 1 ms and keeps databases, settings and parameters
of different requests apart, as separate HTTP requests are on a server. Sessions run in parallel;
chDB releases the interpreter lock while it works.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from ragwheel.schemas.errors import DependencyError
from ragwheel.stack.clickhouse import privileges

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
    def of(cls, code: int, text: str, name: str) -> EngineError:
        """In the words of a server."""
        return cls(code, f"Code: {code}. DB::Exception: {text}. ({name})")


@contextmanager
def chdb_errors() -> Iterator[None]:
    """Raises what chDB raises in the block as EngineError, without its own words before `Code:`."""
    try:
        yield
    except RuntimeError as error:
        text = str(error).strip()
        if match := _CODE.search(text):
            raise EngineError(int(match.group(1)), text[match.start() :]) from error
        raise EngineError.of(_STANDARD_EXCEPTION, text, "STD_EXCEPTION") from error


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
        self._path = f"{path}?config-file={privileges.prepare(path)}"
        # The engine lives as long as some connection does.
        self._anchor = self._connect(self._path)
        self._asking = threading.Lock()

    def version(self) -> str:
        """ClickHouse's version."""
        return self.ask(b"SELECT version()").decode().strip()

    def ask(self, question: bytes) -> bytes:
        """The answer to a question of our own, outside every session.

        Raises:
            EngineError: the engine refuses it.
        """
        with self._asking, chdb_errors():
            body: bytes = self._anchor.query(question, "TabSeparatedRaw").bytes()
            return body

    def close(self) -> None:
        """Closes the engine; sessions must be closed before."""
        self._anchor.close()

    def open_session(
        self, *, database: str, settings: Mapping[str, str], parameters: Mapping[str, str]
    ) -> Session:
        """A session with its own database, settings and query parameters; the caller closes it.

        Raises:
            EngineError: a setting or the database is unknown.
        """
        connection = self._connect(self._path)
        try:
            with chdb_errors():
                if database:
                    connection.query(f"USE {_quoted(database, '`')}")
                if settings:
                    # Values quoted always: ClickHouse converts them to the setting's type.
                    connection.query(f"SET {_assignments(settings)}")
        except EngineError:
            connection.close()
            raise
        return Session(connection, dict(parameters))


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
        with chdb_errors():
            result = self._connection.query(sql, output_format, params=self._parameters)
            return Result(
                result.bytes() or b"",
                Statistics(
                    read_rows=result.rows_read(),
                    read_bytes=result.bytes_read(),
                    elapsed_s=result.elapsed(),
                ),
            )

    def stream(self, sql: bytes, output_format: str) -> Generator[bytes, None, None]:
        """Runs a SELECT and yields its answer block by block, in bounded memory.

        Each block is a complete text of the format: only for formats without head and foot.

        Raises:
            EngineError: the engine refuses it, before or between blocks.
        """
        with (
            chdb_errors(),
            closing(
                self._connection.send_query(sql, output_format, params=self._parameters)
            ) as blocks,
        ):
            for block in blocks:
                yield block.bytes()

    def insert(self, statement: bytes, data_format: str) -> Insert:
        """Begins an insert whose data is appended piece by piece, in bounded memory.

        Raises:
            EngineError: the table or a column is unknown.
        """
        with chdb_errors():
            if self._parameters:
                self._connection.query(f"SET {_assignments(self._parameters, 'param_')}")
            insert: Insert = self._connection.send_insert(statement, data_format)
            return insert

    def close(self) -> None:
        """Ends the session; a stream or an insert still open is cancelled."""
        self._connection.close()


def _assignments(values: Mapping[str, str], prefix: str = "") -> str:
    for name in values:
        if not _NAME.fullmatch(name):
            raise EngineError.of(_UNKNOWN_SETTING, f"Unknown setting {name!r}", "UNKNOWN_SETTING")
    return ", ".join(f"{prefix}{name} = {_quoted(value)}" for name, value in values.items())


def _quoted(value: str, mark: str = "'") -> str:
    escaped = value.replace("\\", "\\\\").replace(mark, f"\\{mark}")
    return f"{mark}{escaped}{mark}"
