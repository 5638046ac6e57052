"""What others send is redacted before anything of it is stored, and nothing is lost by that."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import orjson
import pytest
from tests.rigs.examples import NOW, TEXT, examples, message, query, retrieval

from ragwheel.backends.redaction import Redactor, Rule
from ragwheel.intake.prepare import Acceptance, Prepared, prepare
from ragwheel.intake.sampling import SamplingPolicy
from ragwheel.schemas import deadletters, identity
from ragwheel.schemas.acceptance import Times
from ragwheel.schemas.events import DeadLetter, QueryEvent, RetrievalEvent
from ragwheel.schemas.tables import CHUNKS, DEAD_LETTERS
from ragwheel.schemas.topics import TOPICS
from ragwheel.schemas.wire import Received

MAIL = "ann@example.org"


def failing(text: str) -> str:
    if "ann" in text:
        raise ValueError(f"cannot read {text}")
    return text


def prepared(received: Received, redactor: Redactor | None = None) -> Prepared:
    rule = Rule("mail", re.compile(re.escape(MAIL)), "<email>")
    rules = Acceptance(
        SamplingPolicy(1.0), Times(timedelta(days=400), timedelta(hours=1)),
        redactor=redactor or Redactor((rule,)),
    )  # fmt: skip
    return prepare(received, rules, NOW)


def raw(value: Any, key: bytes = b"q-1", **changes: Any) -> Received:
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return Received("queries", 0, 7, key, body, **({"timestamp_ms": 1} | changes))


def test_rows_jobs_and_hashes_are_of_the_redacted_text() -> None:
    candidate = retrieval().candidates[0].model_copy(update={"text": f"by {MAIL}"})
    made = prepared(message("retrievals", retrieval(query=MAIL, candidates=(candidate,))))
    assert MAIL not in repr(made)
    (record,) = made.records
    assert isinstance(record, RetrievalEvent)
    texts = [row for table, row in made.rows if table is CHUNKS]
    assert texts == [(bytes.fromhex(identity.content_hash("by <email>")), "by <email>", NOW)]
    assert (made.jobs[0].query, made.jobs[0].candidates[0].text) == ("<email>", "by <email>")


def test_user_attributes_and_unknown_fields_are_redacted() -> None:
    made = prepared(
        message("queries", query(user=MAIL, attributes={"a": [MAIL]}, added_later=MAIL))
    )
    (record,) = made.records
    assert isinstance(record, QueryEvent)
    assert (record.user, record.attributes) == ("<email>", {"a": ["<email>"]})
    assert MAIL not in repr(made)


@pytest.mark.parametrize("topic", list(TOPICS))
def test_without_a_match_everything_is_as_it_was(topic: Any) -> None:
    plain = Acceptance(SamplingPolicy(1.0), Times(timedelta(days=400), timedelta(hours=1)))
    if topic != "deadletters":
        received = message(topic, examples()[topic])
    else:
        letter = deadletters.dead_letter(
            topic="queries", partition=0, offset=1, key=b"k", payload=b'{"text":"?"}',
            reason="invalid_field", detail="", timestamp_ms=1,
        )  # fmt: skip
        headers = tuple(deadletters.to_headers(letter))
        received = Received(topic, 0, 0, letter.key, letter.payload, headers)
    made, before = prepared(received), prepare(received, plain, NOW)
    assert (made.records, made.rows, made.jobs) == (before.records, before.rows, before.jobs)


def test_a_dead_letter_holds_the_redacted_payload() -> None:
    made = prepared(raw({"event": "query", "query_id": "q-1", "text": MAIL, "ts": MAIL}))
    assert made.letter is not None
    assert orjson.loads(made.letter.payload or b"")["text"] == "<email>"
    assert made.letter.reason == "invalid_field"
    assert MAIL not in repr(made)


@pytest.mark.parametrize(
    "value", [f'{{"text": "{MAIL}"'.encode(), b"\xff" + MAIL.encode(), f'["{MAIL}"]'.encode()]
)
def test_what_cannot_be_redacted_is_left_out_of_its_letter_which_says_so(value: bytes) -> None:
    made = prepared(raw(value, key=MAIL.encode()))
    assert made.letter is not None
    assert (made.letter.payload, made.letter.key) == (None, b"<email>")
    assert made.letter.detail.startswith("payload left out, it cannot be redacted: it is no JSON")
    assert (made.letter.topic, made.letter.offset) == ("queries", 7)
    assert MAIL not in repr(made)


def test_a_function_that_fails_makes_a_letter_without_what_it_could_not_redact() -> None:
    made = prepared(message("queries", query(text=f"of {MAIL}"), offset=3), Redactor((), failing))
    assert made.letter is not None
    assert (made.letter.reason, made.letter.payload) == ("processing_failed", None)
    assert "the function raised ValueError" in made.letter.detail
    assert MAIL not in repr(made)


def test_a_row_that_clickhouse_refuses_is_preserved_redacted() -> None:
    from ragwheel.intake.prepare import reject

    made = prepared(message("queries", query(text=MAIL)))
    assert MAIL not in repr(reject(made.message, "processing_failed", "no"))


def test_letters_that_others_wrote_are_redacted_too() -> None:
    letter = deadletters.dead_letter(
        topic="queries", partition=0, offset=1, key=MAIL.encode(),
        payload=orjson.dumps({"text": MAIL}), reason="invalid_field", detail=f"got {MAIL}",
        timestamp_ms=1,
    )  # fmt: skip
    headers = tuple(deadletters.to_headers(letter))
    made = prepared(Received("deadletters", 0, 0, letter.key, letter.payload, headers))
    ((table, _),) = made.rows
    (record,) = made.records
    assert table is DEAD_LETTERS
    assert isinstance(record, DeadLetter)
    assert record.dead_letter_id == letter.dead_letter_id
    assert MAIL not in repr((made.records, made.rows))


def test_a_job_keeps_its_text_which_was_redacted_when_it_was_made() -> None:
    job = examples()["grading"]
    assert prepared(message("grading", job)).records == (job,)
    assert TEXT in repr(job)
