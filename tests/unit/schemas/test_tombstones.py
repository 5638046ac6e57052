"""What a tombstone covers, and that it names nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest
from tests.rigs.examples import HASH, NOW, TEXT, examples, query, retrieval

from ragwheel.schemas import deadletters
from ragwheel.schemas.events import DeadLetter, FeedbackEvent, GradingJob, Record
from ragwheel.schemas.tombstones import TombstoneKind, Tombstones, tombstone_hash


def of(kind: TombstoneKind, value: str) -> Tombstones:
    made = Tombstones()
    made.add(kind, tombstone_hash(kind, value), NOW)
    return made


def letter(payload: bytes | None, key: bytes | None = b"k", **changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "topic": "queries", "partition": 0, "offset": 1, "key": key, "payload": payload,
        "reason": "invalid_field", "detail": "", "timestamp_ms": int(NOW.timestamp() * 1000),
    }  # fmt: skip
    return deadletters.dead_letter(**(fields | changes))


def test_nothing_is_covered_by_nothing() -> None:
    assert not any(Tombstones().covers(record) for record in examples().values())
    assert Tombstones().without_chunks(retrieval()) == retrieval()


@pytest.mark.parametrize("topic", ["queries", "retrievals", "feedback", "grading", "labels"])
def test_everything_of_a_forgotten_search_is_covered_whenever_it_happened(topic: Any) -> None:
    record = examples()[topic].model_copy(update={"ts": NOW + timedelta(days=9)})
    assert of("query", "q-1").covers(record)
    assert not of("query", "q-2").covers(record)
    assert not of("chunk_id", "q-1").covers(record)


def test_a_user_is_covered_until_the_tombstone_and_may_come_back() -> None:
    assert of("user", "u-1").covers(query(user="u-1"))
    assert not of("user", "u-1").covers(query(user="u-1", ts=NOW + timedelta(seconds=1)))
    assert not of("user", "u-1").covers(query(user="u-11"))
    assert not of("user", "u-1").covers(query(user=""))


def test_a_tombstone_that_is_set_again_covers_until_the_later_time() -> None:
    tombstones = of("user", "u-1")
    for days in (1, -1):
        tombstones.add("user", tombstone_hash("user", "u-1"), NOW + timedelta(days=days))
    assert tombstones.covers(query(user="u-1", ts=NOW + timedelta(hours=23)))


def test_a_forgotten_text_is_covered_under_any_id_and_an_id_until_the_tombstone() -> None:
    chunk = examples()["chunks"]
    assert of("chunk", HASH).covers(chunk)
    assert of("chunk", HASH).covers(examples()["labels"])
    assert of("chunk_id", "io.open").covers(chunk)
    later = {"ts": NOW + timedelta(1), "text": "new", "content_hash": "e" * 32}
    assert not of("chunk_id", "io.open").covers(chunk.model_copy(update=later))
    assert of("chunk_id", "io.open").covers(examples()["feedback"])
    about_all = FeedbackEvent(query_id="q", ts=NOW, kind="thumbs_up")
    assert not of("chunk_id", "io.open").covers(about_all)


@pytest.mark.parametrize(("kind", "value"), [("chunk", HASH), ("chunk_id", "io.open")])
def test_a_retrieval_loses_the_forgotten_chunk_and_keeps_the_other_ranks(
    kind: TombstoneKind, value: str
) -> None:
    tombstones = of(kind, value)
    assert not tombstones.covers(retrieval())
    left = tombstones.without_chunks(retrieval())
    assert [(each.chunk_id, each.rank) for each in left.candidates] == [
        ("os.open", 2),
        ("os.fdopen", 3),
    ]


def test_a_job_loses_the_forgotten_text() -> None:
    job = of("chunk", HASH).without_chunks(examples()["grading"])
    assert isinstance(job, GradingJob)
    assert [each.chunk_hash for each in job.candidates] == ["a" * 32]


def said(**fields: object) -> bytes:
    return orjson.dumps({"event": "query", **fields})


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("query", "q-1", letter(said(query_id="q-1", ts="never"))),
        ("query", "17", letter(said(query_id=17))),
        ("query", "q-1", letter(b"{", key=b"q-1")),
        ("query", "q-1", letter(b'{"event": "query", "query_id": "q-1", "text": "cut sh')),
        ("query", "q-\u00e9", letter(b'{"query_id": "q-\\u00e9", ')),
        ("query", "q-\ufffd", letter(b'{"query_id": "q-\xff", ')),
        ("user", "u-1", letter(said(user="u-1"))),
        ("chunk", HASH, letter(said(text=TEXT), topic="chunks")),
        ("chunk", HASH, letter(said(candidates=[{"text": TEXT}]), topic="retrievals")),
        ("chunk", HASH, letter(said(candidates=[3, {"content_hash": HASH}]), topic="retrievals")),
        ("chunk_id", "io.open", letter(said(chunk_id="io.open"))),
        ("letter", letter(None).dead_letter_id, letter(b"\xff whatever")),
    ],
)
def test_a_dead_letter_is_covered_by_its_id_or_by_what_can_be_read_of_it(
    kind: TombstoneKind, value: str, found: DeadLetter
) -> None:
    assert of(kind, value).covers(found)
    other = "f" * 32 if kind in ("chunk", "letter") else f"{value}0"
    assert not of(kind, other).covers(found)


@pytest.mark.parametrize("payload", [None, b"", b"3", b"[]", b'"query_id"', b'{"query_id": null}'])
def test_bytes_that_name_nothing_are_covered_by_no_name(payload: bytes | None) -> None:
    assert not of("query", "q-1").covers(letter(payload))


def test_a_tombstone_is_a_hash_and_its_kind_belongs_to_it() -> None:
    kinds: tuple[TombstoneKind, ...] = ("user", "query", "chunk_id")
    hashes = {tombstone_hash(kind, "u-1") for kind in kinds}
    assert {len(each) for each in hashes} == {16}
    assert len(hashes) == 3
    assert tombstone_hash("chunk", HASH).hex() == HASH


def test_a_kind_of_a_later_version_stops_nothing() -> None:
    tombstones = Tombstones()
    tombstones.add("of later", b"\x00" * 16, NOW)
    assert len(tombstones) == 0


def test_models_are_never_covered() -> None:
    record: Record = examples()["models"]
    assert not of("query", "m-2").covers(record)
