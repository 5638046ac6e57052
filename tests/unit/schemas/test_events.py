"""Every rule of the event models, with a value on each side of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError
from tests.rigs.examples import NOW, examples

from ragwheel.schemas import identity
from ragwheel.schemas.events import (
    Candidate,
    Event,
    IndexEvent,
    Label,
    Record,
    RetrievalEvent,
)
from ragwheel.schemas.topics import TOPICS, TopicName

QUERY = {"query_id": "q-1", "ts": NOW, "text": "how?"}
CANDIDATE = {"chunk_id": "c-1", "rank": 1, "score": 0.5, "text": "answer"}
RETRIEVAL = {"query_id": "q-1", "ts": NOW, "query": "how?"}
FEEDBACK = {"query_id": "q-1", "ts": NOW, "kind": "cited"}
CHUNK = {"chunk_id": "c-1", "ts": NOW, "text": "answer"}


def build(topic: TopicName, usual: dict[str, Any], **changes: Any) -> Any:
    return TOPICS[topic].model.model_validate(usual | changes)


@pytest.mark.parametrize(
    ("topic", "usual", "field", "good", "bad"),
    [
        ("queries", QUERY, "query_id", ["q", "q" * 256], ["", "q" * 257, None, 5]),
        ("queries", QUERY, "event_id", ["e", "e" * 256], ["e" * 257, [1]]),
        ("queries", QUERY, "text", ["x", "x" * 65_536], ["", "x" * 65_537, None, 5, b"\xff"]),
        ("queries", QUERY, "segment", ["", "s" * 128], ["s" * 129, None]),
        ("queries", QUERY, "service", ["", "s" * 128], ["s" * 129]),
        ("queries", QUERY, "user", ["", "u" * 128], ["u" * 129]),
        ("queries", QUERY, "session", ["", "u" * 128], ["u" * 129]),
        ("queries", QUERY, "attributes", [{}, {"a": [1, {"b": None}]}], [[], "x", None]),
        ("queries", QUERY, "schema_version", [1], [0, 2, "2", None]),
        ("queries", QUERY, "event", ["query"], ["retrieval", "", None]),
        (
            "queries",
            QUERY,
            "ts",
            ["2026-11-23T12:00:00Z", "2026-11-23T12:00:00.5+05:30", 1_790_000_000, 1_790_000_000.5],
            ["2026-11-23", "2026-11-23T12:00:00", "noon", None, True, "9999-12-31T23:00:00-05:00"],
        ),
        ("retrievals", RETRIEVAL, "query", ["x" * 65_536], ["", None]),
        ("retrievals", RETRIEVAL, "stage", ["", "rerank"], ["s" * 129]),
        ("retrievals", RETRIEVAL, "k", [0, 100_000], [-1, 100_001, 1.5, None]),
        ("retrievals", RETRIEVAL, "latency_ms", [0, 1e9], [-0.1, 1e39, float("nan"), float("inf")]),
        ("feedback", FEEDBACK, "kind", ["clicked", "custom"], ["liked", "", None]),
        ("feedback", FEEDBACK, "chunk_id", [None, "c", "c" * 256], ["", "c" * 257]),
        ("feedback", FEEDBACK, "value", [-1, 0, 3.5], [float("nan"), float("inf"), "x", None]),
        ("chunks", CHUNK, "text", ["x", "x" * 65_536], ["", "x" * 65_537]),
        ("chunks", CHUNK, "chunk_id", ["c" * 256], ["", "c" * 257]),
    ],
)
def test_bounds_of_fields(
    topic: TopicName, usual: dict[str, Any], field: str, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        build(topic, usual, **{field: value})
    for value in bad:
        with pytest.raises(ValidationError) as refused:
            build(topic, usual, **{field: value})
        assert field in str(refused.value.errors()[0]["loc"])


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("chunk_id", ["c" * 256], ["", "c" * 257, None]),
        ("rank", [1, 100_000], [0, -1, 100_001, None]),
        ("score", [-5, 0.0, 3e38], [1e39, -1e39, float("nan"), float("inf"), float("-inf"), None]),
        ("text", ["x" * 65_536], ["", "x" * 65_537]),
        ("in_context", [True, False], [None, "perhaps"]),
    ],
)
def test_bounds_of_candidates(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        build("retrievals", RETRIEVAL, candidates=[CANDIDATE | {field: value}])
    for value in bad:
        with pytest.raises(ValidationError):
            build("retrievals", RETRIEVAL, candidates=[CANDIDATE | {field: value}])


def test_a_candidate_needs_its_text_or_its_hash() -> None:
    without = {key: value for key, value in CANDIDATE.items() if key != "text"}
    for missing in ({}, {"content_hash": ""}, {"content_hash": None}, {"text": None}):
        with pytest.raises(ValidationError, match="send `text`, or `content_hash`"):
            Candidate.model_validate(without | missing)
    for bad in ("not a hash", "A" * 32, "a" * 31, "a" * 32 + "\n"):
        with pytest.raises(ValidationError):
            Candidate.model_validate(without | {"content_hash": bad})
    assert Candidate.model_validate(without | {"content_hash": "a" * 32}).text is None


def test_the_hash_of_a_text_is_ours_whatever_the_sender_claims() -> None:
    lied = Candidate.model_validate(CANDIDATE | {"content_hash": "0" * 32})
    assert lied.content_hash == identity.content_hash("answer")
    chunk = build("chunks", CHUNK, content_hash="0" * 32)
    assert chunk.content_hash == identity.content_hash("answer")


def test_ranks_are_unique_and_need_not_be_in_order() -> None:
    second = CANDIDATE | {"rank": 3}
    event = build("retrievals", RETRIEVAL, candidates=[second, CANDIDATE])
    assert [candidate.rank for candidate in event.candidates] == [3, 1]
    with pytest.raises(ValidationError, match="rank 3 repeats"):
        build("retrievals", RETRIEVAL, candidates=[second, CANDIDATE, second])


def test_a_retrieval_has_0_to_200_candidates() -> None:
    def candidates(count: int) -> list[dict[str, Any]]:
        return [CANDIDATE | {"rank": rank} for rank in range(1, count + 1)]

    assert build("retrievals", RETRIEVAL).candidates == ()
    assert len(build("retrievals", RETRIEVAL, candidates=candidates(200)).candidates) == 200
    with pytest.raises(ValidationError):
        build("retrievals", RETRIEVAL, candidates=candidates(201))


def test_times_are_kept_in_utc() -> None:
    there = datetime(2026, 11, 23, 17, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    for topic, usual in (("queries", QUERY), ("chunks", CHUNK)):
        kept = build(topic, usual, ts=there).ts  # type: ignore[arg-type]
        assert kept == datetime(2026, 11, 23, 12, tzinfo=UTC)
        assert kept.tzinfo is UTC


def test_an_event_without_id_gets_the_same_one_each_time_and_another_content_another() -> None:
    first = build("queries", QUERY)
    assert first.event_id == build("queries", dict(reversed(QUERY.items()))).event_id
    assert first.event_id == build("queries", QUERY, event_id="").event_id
    assert first.event_id != build("queries", QUERY, text="why?").event_id
    assert first.event_id != build("queries", QUERY, added=1).event_id
    assert build("queries", QUERY, event_id="given").event_id == "given"


def test_a_chunk_event_is_the_same_whenever_it_is_sent() -> None:
    first = build("chunks", CHUNK)
    assert build("chunks", CHUNK, ts=NOW + timedelta(days=1)).event_id == first.event_id
    changes: tuple[dict[str, Any], ...] = (
        {"text": "other"}, {"chunk_id": "c-2"}, {"index_version": "2"}, {"index": "docs"},
        {"deleted": True},
    )  # fmt: skip
    for change in changes:
        assert build("chunks", CHUNK, **change).event_id != first.event_id


def test_only_a_chunk_that_is_deleted_has_no_text() -> None:
    bare = {name: value for name, value in CHUNK.items() if name != "text"}
    gone = build("chunks", bare, deleted=True)
    assert (gone.text, gone.content_hash) == (None, "")
    assert build("chunks", bare, deleted=True, content_hash="").event_id == gone.event_id
    assert build("chunks", CHUNK, deleted=True).content_hash == identity.content_hash("answer")
    with pytest.raises(ValidationError, match="send `text`, or `deleted`"):
        build("chunks", bare)


def test_what_is_said_of_a_build_names_it_and_has_an_id_of_its_content() -> None:
    said = {"index_version": "7", "ts": NOW, "complete": True, "chunks": 3}
    made = IndexEvent.model_validate(said)
    assert made.event_id == IndexEvent.model_validate(said | {"event_id": ""}).event_id
    assert made.event_id != IndexEvent.model_validate(said | {"chunks": 4}).event_id
    for wrong in ({"index_version": ""}, {"chunks": -1}, {"max_seq_length": -1}):
        with pytest.raises(ValidationError):
            IndexEvent.model_validate(said | wrong)


def test_a_job_asks_for_labels_and_never_for_decoys() -> None:
    job = examples()["grading"].model_dump()
    model = TOPICS["grading"].model
    for role in ("label", "judge", "second"):
        assert model.model_validate(job | {"role": role})
    with pytest.raises(ValidationError):
        model.model_validate(job | {"role": "decoy"})
    label = examples()["labels"].model_dump()
    for said in ({"role": "decoy"}, {"source": "person"}, {"source": "synthetic"}):
        assert TOPICS["labels"].model.model_validate(label | said)
    assert "source" not in Label.model_json_schema()["required"]


@pytest.mark.parametrize("topic", TOPICS)
def test_unknown_fields_survive_and_known_ones_are_frozen(topic: TopicName) -> None:
    record = examples()[topic]
    model = TOPICS[topic].model
    later = model.model_validate(record.model_dump() | {"added_later": {"deep": [1]}})
    assert later.unknown_fields()["added_later"] == {"deep": [1]}
    with pytest.raises(ValidationError, match="frozen"):
        later.schema_version = 1  # type: ignore[misc] # what must not be possible


def test_unknown_fields_of_a_candidate_survive() -> None:
    event = build("retrievals", RETRIEVAL, candidates=[CANDIDATE | {"shard": 3}])
    assert RetrievalEvent.model_validate_json(event.model_dump_json()) == event
    assert event.model_dump()["candidates"][0]["shard"] == 3


@pytest.mark.parametrize("status", ["unparsed", "refused", "truncated", "failed", "over_budget"])
def test_failure_is_never_a_grade(status: str) -> None:
    graded = examples()["labels"].model_dump()
    failed = graded | {"status": status, "grade": None, "expected_grade": None, "reason": "why"}
    assert TOPICS["labels"].model.model_validate(failed)
    for change in ({"grade": 0}, {"grade": 3}, {"expected_grade": 0.0}):
        with pytest.raises(ValidationError):
            TOPICS["labels"].model.model_validate(failed | change)


def test_a_graded_label_has_a_grade_from_0_to_3() -> None:
    graded = examples()["labels"].model_dump()
    for grade in (0, 1, 2, 3):
        assert TOPICS["labels"].model.model_validate(graded | {"grade": grade})
    for bad in (None, -1, 4, 1.5, "relevant"):
        with pytest.raises(ValidationError):
            TOPICS["labels"].model.model_validate(graded | {"grade": bad})


@pytest.mark.parametrize("topic", ["grading", "labels"])
def test_an_inclusion_probability_is_above_0_and_at_most_1(topic: TopicName) -> None:
    usual = examples()[topic].model_dump()
    for good in (1e-9, 1.0):
        assert TOPICS[topic].model.model_validate(usual | {"inclusion_probability": good})
    for bad in (0, -0.5, 1.000001, float("nan")):
        with pytest.raises(ValidationError):
            TOPICS[topic].model.model_validate(usual | {"inclusion_probability": bad})


def test_every_service_event_is_tagged_and_joined_by_its_query() -> None:
    for topic in ("queries", "retrievals", "feedback"):
        assert issubclass(TOPICS[topic].model, Event)
    assert all(issubclass(topic.model, Record) for topic in TOPICS.values())
