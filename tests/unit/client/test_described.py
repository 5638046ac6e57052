"""A field of a retrieval is written once in the client and once in the schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import ValidationError
from tests.rigs.fake_producer import FakeProducer

import ragwheel.client
from ragwheel.client import RagwheelClient, TopicStats
from ragwheel.client.described import Described, Measured, Stamped
from ragwheel.schemas.events import Event, RetrievalEvent

#: What the verbs take by position or under a word of its own.
ELSEWHERE = {"event", "schema_version", "query", "candidates"} | Event.model_fields.keys()
HITS = [("c-1", 0.9, "one")]
VALUES: dict[object, tuple[Any, ...]] = {
    str: ("", "x", "x" * 128, "x" * 129, 5, ["x"]),
    int: (0, 100_000, 100_001, -1, 0.5, "1"),
    float: (0.0, 1e300, 7, -0.1, float("nan"), float("inf"), "x"),
}


def test_what_can_be_said_of_a_retrieval_is_what_the_schema_knows() -> None:
    assert set(get_type_hints(Measured)) == RetrievalEvent.model_fields.keys() - ELSEWHERE


def test_what_can_be_said_of_any_event_is_a_field_of_it_or_goes_to_the_archive() -> None:
    ours = {"query_id", "service", "schema_version"}
    assert set(get_type_hints(Stamped)) == (Event.model_fields.keys() - ours) | {"extra"}


def test_a_stage_can_be_told_everything_but_its_own_time() -> None:
    assert set(get_type_hints(Measured)) - set(get_type_hints(Described)) == {"latency_ms"}


def test_a_new_field_is_one_line_of_the_client() -> None:
    source = Path(str(ragwheel.client.__file__)).parent
    for field in get_type_hints(Described):
        typed = [
            path.name
            for path in source.glob("*.py")
            for _ in re.finditer(rf"^\s*{field}: (?:str|int) \| None$", path.read_text(), re.M)
        ]
        assert typed == ["described.py"], field
    for name in ("client.py", "emitter.py", "building.py"):
        named = set(re.findall(r"\w+", (source / name).read_text("utf-8")))
        assert not named & {"retriever", "embedding_model", "latency_ms"}, name


@pytest.mark.parametrize("field", get_type_hints(Measured))
def test_each_field_is_checked_as_the_schema_checks_it(
    client: RagwheelClient, producer: FakeProducer, field: str
) -> None:
    kind, none = get_args(get_type_hints(Measured)[field])
    assert none is type(None)
    for value in VALUES[kind]:
        said: Any = {field: value}
        try:
            RetrievalEvent.model_validate(
                {"query_id": "q", "query": "x", "ts": "2026-11-23T12:00:00Z", **said}, strict=False
            )
        except ValidationError:
            assert not client.emit_retrieval("q", "x", HITS, **said), value
        else:
            assert client.emit_retrieval("q", "x", HITS, **said) == (value != "1"), value


@pytest.mark.parametrize("field", get_type_hints(Measured))
def test_none_says_as_much_as_leaving_the_field_out(
    client: RagwheelClient, producer: FakeProducer, field: str
) -> None:
    nothing: Any = {field: None}
    assert client.emit_retrieval("q", "x", HITS, **nothing)
    (event,) = producer.records()
    assert getattr(event, field) == RetrievalEvent.model_fields[field].default


def test_a_misspelt_name_and_a_wrong_type_are_refused_here_and_by_mypy(
    client: RagwheelClient, caplog: pytest.LogCaptureFixture
) -> None:
    # mypy runs strictly over this file: an `ignore` that it does not need is an error, so each one
    # proves that the names and types of the fields reach it through `never_raises`.
    client.emit_retrieval("q", "x", HITS, retreiver="faq")  # type: ignore[call-arg]
    client.emit_retrieval("q", "x", HITS, k="many")  # type: ignore[arg-type]
    with client.query("x") as query:
        query.retrieved(HITS, lateny_ms=3.0)  # type: ignore[call-arg]
        query.retrieved(HITS, stage=7)  # type: ignore[arg-type]
        query.retrieved(HITS, segment="docs")  # type: ignore[call-arg]
        query.retrieving("dense", latency_ms=3.0)  # type: ignore[call-arg]
        query.retrieving("dense", embedding_model=b"mini")  # type: ignore[arg-type]
    assert client.stats().topics["retrievals"] == TopicStats(invalid=6)
    client.emit_query("x", segmnt="docs")  # type: ignore[call-arg]
    client.emit_query("x", segment=7)  # type: ignore[arg-type]
    client.feedback("q", "cited", stage="dense")  # type: ignore[call-arg]
    client.feedback("q", "cited", ts="today")  # type: ignore[arg-type]
    assert client.stats().topics["queries"] == TopicStats(queued=1, invalid=2)
    assert client.stats().topics["feedback"] == TopicStats(invalid=2)
    assert (
        "'retreiver' is unknown; one of document_fingerprint, embedding_model, index" in caplog.text
    )
    assert "'segmnt' is unknown; one of event_id, extra, segment, ts" in caplog.text


def test_the_stage_may_be_said_by_position_or_by_name(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query:
        with query.retrieving("bm25") as stage:
            stage.returned(HITS)
        with query.retrieving(stage="rerank") as stage:
            stage.returned(HITS)
        with query.retrieving() as stage:
            stage.returned(HITS)
    assert [getattr(event, "stage", "") for event in producer.records("retrievals")] == [
        "bm25",
        "rerank",
        "dense",
    ]


def _values(producer: FakeProducer) -> list[bytes]:
    return [value for topic, _, value in producer.sent if topic == "retrievals"]


def test_the_headers_of_a_server_are_logged_in_one_line(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    headers = {"Content-Type": "application/json", "X-Ragwheel-Model": "39d406a672658e55",
               "x-ragwheel-documents": "f-1"}  # fmt: skip
    with client.query("how?") as query:
        query.retrieved(HITS, stage="dense", **ragwheel.client.served(headers))
        query.retrieved(HITS, stage="fusion", **ragwheel.client.served({}))
    sent = [json.loads(each) for each in _values(producer)]
    assert [each.get("model_id") for each in sent] == ["39d406a672658e55", None]
    assert [each.get("document_fingerprint") for each in sent] == ["f-1", None]
