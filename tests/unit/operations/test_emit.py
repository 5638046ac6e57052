"""Events from lines: what is sent, what is refused and why."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from ragwheel.cli.main import main
from ragwheel.intake.prepare import Acceptance, prepare
from ragwheel.intake.sampling import SamplingPolicy
from ragwheel.operations.emit import Rules, emit_lines, open_lines, parse_event
from ragwheel.schemas.acceptance import BACKFILL_HEADER, Times
from ragwheel.schemas.errors import ConfigError, InvalidEventError
from ragwheel.schemas.events import Candidate
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import AcceptanceSettings
from ragwheel.schemas.topics import TOPIC_OF_EVENT, TOPICS
from ragwheel.schemas.wire import Received

NOW = datetime.now(UTC)
QUERY = {"event": "query", "query_id": "q1", "ts": "2026-01-31T12:00:00Z", "text": "how?"}
CHUNK = {"event": "chunk", "chunk_id": "c1", "ts": "2016-01-31T12:00:00Z", "text": "so"}
TIMES = Times.of(load(AcceptanceSettings))
RULES = Rules(TIMES)


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
        [_line(ts=NOW), b"\n", b"{\n", orjson.dumps(CHUNK), b"nope"],
        None,
        RULES,
        on_error=lambda number, error: errors.append((number, error.reason)),
    )
    assert report.delivered == {"queries": 1, "chunks": 1}
    assert report.invalid == 2
    assert errors == [(3, "malformed_json"), (5, "malformed_json")]


def _dead_lettered(line: bytes, *, backfill: bool) -> str:
    """Why intake dead-letters a line that was sent; empty if it does not."""
    headers = [(BACKFILL_HEADER, b"1")] if backfill else []
    message = Received("queries", 0, 0, b"q1", line, headers)
    letter = prepare(message, Acceptance(SamplingPolicy(1.0), TIMES), datetime.now(UTC)).letter
    return letter.reason if letter else ""


@pytest.mark.parametrize("backfill", [False, True])
@pytest.mark.parametrize(
    "line",
    [
        _line(ts=NOW),
        _line(ts=NOW - timedelta(days=149)),
        _line(ts=NOW - timedelta(days=151)),
        _line(ts="2024-05-01T12:00:00Z"),
        _line(ts="1970-01-01T00:00:00Z"),
        _line(ts="0001-01-01T00:00:00Z"),
        _line(ts=NOW + timedelta(minutes=50)),
        _line(ts=NOW + timedelta(minutes=70)),
        _line(text="", ts=NOW),
    ],
    ids=["now", "young", "old", "2024", "1970", "year 1", "ahead", "too far ahead", "empty"],
)
def test_what_emit_accepts_intake_accepts(line: bytes, backfill: bool) -> None:
    reasons: list[str] = []
    report = emit_lines(
        [line], None, Rules(TIMES, backfill), on_error=lambda _, error: reasons.append(error.reason)
    )
    expected = _dead_lettered(line, backfill=backfill)
    assert reasons == [expected] * bool(expected)
    assert report.invalid == bool(expected)


def test_a_backfill_may_be_of_any_age_and_not_of_the_future() -> None:
    old, future = _line(ts="1999-05-01T12:00:00Z"), _line(ts=NOW + timedelta(days=1))
    told: list[str] = []
    refused = emit_lines([old], None, RULES, on_error=lambda _, error: told.append(str(error)))
    assert refused.invalid == 1
    assert "`--backfill` takes events of any age" in told[0]
    report = emit_lines([old, future], None, Rules(TIMES, backfill=True), on_error=lambda *_: None)
    assert (report.delivered, report.invalid) == ({"queries": 1}, 1)


def test_the_age_that_is_taken_is_a_setting_of_intake() -> None:
    year = Rules(Times.of(load(AcceptanceSettings, max_event_age_days=365)))
    line = _line(ts=NOW - timedelta(days=300))
    assert emit_lines([line], None, RULES, on_error=lambda *_: None).invalid == 1
    assert emit_lines([line], None, year, on_error=lambda *_: None).invalid == 0


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


PAGE = (Path(__file__).parents[3] / "docs/events.md").read_text("utf-8")
EXAMPLES = "".join(re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


def test_every_example_of_the_page_is_an_event_that_emit_sends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no stack runs
    Path("examples.jsonl").write_text(EXAMPLES, encoding="utf-8")
    assert main(["emit", "--dry-run", "--backfill", "--file", "examples.jsonl"]) == 0
    assert capsys.readouterr().out == (
        "13 valid (5 chunks, 3 feedback, 2 queries, 3 retrievals), 0 invalid\n"
    )


@pytest.mark.parametrize("tag", ["query", "retrieval", "feedback", "chunk", "index"])
def test_the_page_has_every_field_of_an_event_in_its_table_and_an_example(tag: str) -> None:
    model = TOPICS[TOPIC_OF_EVENT[tag]].models[tag]
    (section,) = (part for part in PAGE.split("\n## ") if f'{{"event": "{tag}"' in part)
    fields = set(model.model_fields) - {"event"}
    if tag == "retrieval":
        fields |= set(Candidate.model_fields)
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert fields == {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)} & fields
    assert fields - {"event_id", "content_hash", "schema_version"} <= set(
        re.findall(r'"([a-z_]+)":', section)
    )
