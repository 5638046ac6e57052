"""Events from lines: what is sent, what is refused and why."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from ragwheel.operations.emit import emit_lines, open_lines, parse_event
from ragwheel.schemas.errors import ConfigError, InvalidEventError

QUERY = {"event": "query", "query_id": "q1", "ts": "2026-01-31T12:00:00Z", "text": "how?"}
CHUNK = {"event": "chunk", "chunk_id": "c1", "ts": "2026-01-31T12:00:00Z", "text": "so"}


def _line(**changes: object) -> bytes:
    return orjson.dumps(QUERY | changes)


def test_the_event_tag_decides_the_topic() -> None:
    assert parse_event(_line())[0] == "queries"
    assert parse_event(orjson.dumps(CHUNK))[0] == "chunks"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "malformed_json"),
        (b"[]", "unknown_event"),
        (b'"text"', "unknown_event"),
        (b"\xff\xfe", "not_utf8"),
        (_line(event="label"), "unknown_event"),
        (_line(event=None), "unknown_event"),
        (_line(event=["query"]), "unknown_event"),
        (_line(schema_version=2), "unknown_schema_version"),
        (_line(query_id=""), "invalid_field"),
        (_line(text="x" * 2_000_000), "oversize"),
        (b'{"event": "feedback", "value": NaN}', "invalid_field"),
    ],
)
def test_an_invalid_line_is_refused_with_the_reason_of_intake(line: bytes, reason: str) -> None:
    with pytest.raises(InvalidEventError) as refusal:
        parse_event(line)
    assert refusal.value.reason == reason


def test_lines_are_counted_from_one_and_blank_ones_are_skipped() -> None:
    errors: list[tuple[int, str]] = []
    report = emit_lines(
        [_line(), b"\n", b"{\n", orjson.dumps(CHUNK), b"nope"],
        None,
        on_error=lambda number, error: errors.append((number, error.reason)),
    )
    assert report.delivered == {"queries": 1, "chunks": 1}
    assert report.invalid == 2
    assert errors == [(3, "malformed_json"), (5, "malformed_json")]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"--file .*none.jsonl: No such file"),
        open_lines(str(tmp_path / "none.jsonl")),
    ):
        pass


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"one\ntwo")
    with open_lines(str(tmp_path / "events.jsonl")) as lines:
        assert list(lines) == [b"one\n", b"two"]
