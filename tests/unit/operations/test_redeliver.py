"""Planning a replay: fix, new key, validation, honest reports."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from tests.rigs.examples import NOW, query

from ragwheel.operations import redeliver
from ragwheel.operations.redeliver import Replay, Selection, command_fix, plan, replay
from ragwheel.schemas import deadletters, wire
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.events import DeadLetter
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import IntakeSettings, KafkaSettings

SETTINGS = load(IntakeSettings, max_event_age_days=400, max_event_ahead_s=3_600)


def letter(payload: bytes | None, key: bytes | None = b"q-1", **changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "topic": "queries", "partition": 0, "offset": 3, "key": key, "payload": payload,
        "reason": "invalid_field", "detail": "", "timestamp_ms": 0,
    }  # fmt: skip
    return deadletters.dead_letter(**(fields | changes))


def to_version_1(payload: bytes) -> bytes:
    raw = orjson.loads(payload)
    return orjson.dumps(raw | {"schema_version": 1})


GOOD = wire.encode(query())
BAD = GOOD.replace(b'"schema_version":1', b'"schema_version":7')


def test_a_letter_that_is_valid_now_is_sent_as_it_is() -> None:
    result = plan(letter(GOOD), SETTINGS, NOW)
    assert (result.key, result.value, result.problem) == (b"q-1", GOOD, "")


@pytest.mark.parametrize("key", [None, b"", b"other", b"\xff"])
def test_a_wrong_key_is_replaced_by_the_one_of_the_registry(key: bytes | None) -> None:
    assert plan(letter(GOOD, key), SETTINGS, NOW).key == b"q-1"


def test_what_would_be_dead_lettered_again_is_reported_and_not_sent() -> None:
    result = plan(letter(BAD), SETTINGS, NOW)
    assert "unknown_schema_version" in result.problem


def test_a_fix_makes_it_valid() -> None:
    result = plan(letter(BAD), SETTINGS, NOW, to_version_1)
    assert result.problem == ""
    assert result.value is not None
    assert orjson.loads(result.value)["schema_version"] == 1


def test_a_fix_that_fails_is_reported() -> None:
    result = plan(letter(b"not json"), SETTINGS, NOW, to_version_1)
    assert result.problem.startswith("the fix failed: ")


def test_times_out_of_range_are_reported_unless_they_are_forced() -> None:
    old = wire.encode(query(ts=NOW - timedelta(days=500)))
    assert "timestamp_out_of_range" in plan(letter(old), SETTINGS, NOW).problem
    assert plan(letter(old), SETTINGS, NOW, force=True).problem == ""


def test_a_letter_may_be_of_any_age_when_it_is_a_backfill_and_is_marked_so() -> None:
    old = wire.encode(query(ts=NOW - timedelta(days=5_000)))
    result = plan(letter(old), SETTINGS, NOW, backfill=True)
    assert (result.problem, result.backfill) == ("", True)
    ahead = wire.encode(query(ts=NOW + timedelta(days=1)))
    assert "timestamp_out_of_range" in plan(letter(ahead), SETTINGS, NOW, backfill=True).problem


def test_force_sends_what_is_invalid_with_its_old_key() -> None:
    result = plan(letter(BAD, b"old"), SETTINGS, NOW, force=True)
    assert (result.key, result.value, result.problem) == (b"old", BAD, "")


@pytest.mark.parametrize("topic", ["deadletters", "elsewhere"])
def test_letters_without_a_topic_to_go_back_to_are_reported(topic: str) -> None:
    assert repr(topic) in plan(letter(GOOD, topic=topic), SETTINGS, NOW, force=True).problem


def test_a_tombstone_is_reported() -> None:
    assert "malformed_json" in plan(letter(None), SETTINGS, NOW, to_version_1).problem


def test_a_command_is_a_fix_from_standard_input_to_standard_output() -> None:
    program = "import sys; sys.stdout.write(sys.stdin.read().replace(':7', ':1'))"
    result = plan(letter(BAD), SETTINGS, NOW, command_fix([sys.executable, "-c", program]))
    assert result.problem == ""


def test_a_command_that_fails_says_what_it_said() -> None:
    fix = command_fix([sys.executable, "-c", "import sys; sys.exit('no such field')"])
    with pytest.raises(ValueError, match="status 1: no such field"):
        fix(b"")


def test_a_command_that_does_not_exist_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="no-such-program"):
        command_fix(["no-such-program"])(b"")


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_replay_selects_plans_sends_and_counts(
    monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    sent: list[Replay] = []

    def send(_settings: KafkaSettings, plans: list[Replay]) -> list[Replay]:
        sent.extend(each for each in plans if not each.problem)
        return [replace(each, problem=each.problem or "Kafka: refused") for each in plans]

    now = datetime.now(UTC)
    good = [letter(wire.encode(query(ts=now)), offset=offset) for offset in (1, 2)]
    old = letter(wire.encode(query(ts=now - timedelta(days=4_000))), offset=3)
    monkeypatch.setattr(redeliver, "open_tables", lambda _: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(redeliver, "select", lambda *_: [*good, old])
    monkeypatch.setattr(redeliver, "send", send)
    report = replay(load(IntakeSettings), Selection(), dry_run=dry_run)
    assert (report.dry_run, report.selected) == (dry_run, 3)
    assert [each.letter for each in sent] == ([] if dry_run else good)
    assert report.sent == (2 if dry_run else 0)
    assert [each.dead_letter_id for each in report.unusable][-1] == old.dead_letter_id
    assert "timestamp_out_of_range" in report.unusable[-1].problem
    assert len(report.unusable) == (1 if dry_run else 3)
