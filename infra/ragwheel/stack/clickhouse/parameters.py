"""What a client asks for, read from URL parameters and headers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Read by a server's HTTP layer, not by its query engine, which would refuse them as settings.
_TRANSPORT = frozenset(
    {
        "query",
        "database",
        "default_format",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "close_session",
        "quota_key",
        "role",
        "user",
        "password",
        "compress",
        "decompress",
        "buffer_size",
        "wait_end_of_query",
        "client_protocol_version",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "enable_http_compression",
        "http_zlib_compression_level",
        "stacktrace",
    }
)
_DEFAULT_FORMAT = "TabSeparated"

#: HTTP status by ClickHouse error code, where it is not 500, after the server's example.
_STATUS_BY_CODE: dict[int, int] = {
    # The statement or its data cannot be read, or their types do not fit.
    **dict.fromkeys((6, 26, 27, 33, 38, 41, 42, 43, 44, 53, 62, 70, 72, 117, 130, 386, 457), 400),
    # Its compression is unknown or broken.
    **dict.fromkeys((89, 271), 400),
    164: 403,  # a write in a read-only request
    452: 403,  # a setting that nobody may change
    497: 403,  # access denied
    516: 403,  # wrong or no password
    # A column, function, type, table, database or setting is unknown.
    **dict.fromkeys((16, 46, 47, 50, 60, 81, 115), 404),
    159: 408,  # the time limit of a query
    307: 413,  # more bytes than allowed
    48: 501,  # not implemented
}


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One request, without its body.

    Attributes:
        query: text that stands before the body.
        database: name, empty for the default one.
        settings: for the engine.
        parameters: values of `{name:Type}` placeholders, without the prefix `param_`.
        output_format: unless the statement names one.
        buffered: the client wants the whole answer or an error, never half an answer.
    """

    query: str
    database: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    output_format: str
    buffered: bool


def read_request(fields: Mapping[str, str], headers: Mapping[str, str]) -> QueryRequest:
    """Sorts URL parameters (and form fields) into what they are for.

    Sessions are accepted and have no effect: each request stands alone.
    """
    parameters = {
        name.removeprefix("param_"): value
        for name, value in fields.items()
        if name.startswith("param_")
    }
    settings = {
        name: value
        for name, value in fields.items()
        if name not in _TRANSPORT and not name.startswith("param_")
    }
    return QueryRequest(
        query=fields.get("query", ""),
        database=fields.get("database") or headers.get("X-ClickHouse-Database", ""),
        settings=settings,
        parameters=parameters,
        output_format=(
            fields.get("default_format") or headers.get("X-ClickHouse-Format") or _DEFAULT_FORMAT
        ),
        buffered=fields.get("wait_end_of_query") in ("1", "true"),
    )


def status_of(code: int) -> int:
    """HTTP status that a server sends with an error code."""
    return _STATUS_BY_CODE.get(code, 500)
