"""The demo ends with a question that the server answers, and never says more than the answer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from openai import OpenAI
from starlette.testclient import TestClient
from tests.rigs.serving import SeenEncoder, Switch, generation
from tests.unit.demo.demo_results import result, served, shift, verdict

from ragwheel.backends.telemetry import Telemetry
from ragwheel.demo.answered import AskedServer, expected_model, served_search, shown_question
from ragwheel.demo.checking import serving_problems
from ragwheel.demo.embedding import Embedded
from ragwheel.demo.report.page import html_report
from ragwheel.demo.search import IndexedChunk
from ragwheel.demo.summary import summary
from ragwheel.demo.terminal import Terminal
from ragwheel.demo.waiting import DemoFailedError, wait_for
from ragwheel.demo.watching import served as awaiting
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.identity import content_hash
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ServingSettings
from ragwheel.serving.app import create_app

BASE, TRAINED = SeenEncoder("base"), SeenEncoder("trained")
CHUNKS = ("shutil:copy", "os:walk", "re:match")
INDEX = tuple(IndexedChunk(one, content_hash(one)) for one in CHUNKS)
QUESTION = "How do I copy a tree?"
EMBEDDED = Embedded(
    BASE.encode(CHUNKS, "document"),
    {QUESTION: BASE.vector(QUESTION, "query")},
    BASE.fingerprint,
)
SHIFT = shift(QUESTION, "shutil:copy", "files", 20, 1)
PROMOTED = verdict().model_copy(update={"model_id": "model-1", "base_model": "base/model"})
REFUSED = PROMOTED.model_copy(update={"action": "refused"})


@contextmanager
def asked(switch: Switch) -> Iterator[AskedServer]:
    """The application of what `switch` says, asked as the demo asks it."""
    app = create_app(load(ServingSettings), switch, Telemetry("server"))
    with TestClient(app, base_url="http://server/v1") as http:
        yield AskedServer(OpenAI(api_key="none", http_client=http, max_retries=0))


@pytest.mark.parametrize(
    ("event", "encoder", "words"),
    [
        (PROMOTED, TRAINED, "model model-1 answers, which this run promoted"),
        (REFUSED, BASE, "nothing was promoted, so the base model answers as before"),
    ],
)
def test_the_answer_ranks_the_index_with_the_vector_of_what_serves(
    event: ModelEvent, encoder: SeenEncoder, words: str
) -> None:
    with asked(Switch(generation(encoder, None if encoder is BASE else BASE))) as server:
        answered = server.ask(QUESTION)
    assert answered is not None
    found = served_search(answered, event, SHIFT, EMBEDDED, INDEX)

    assert found.in_words == words
    assert list(serving_problems(found)) == []
    scores = EMBEDDED.chunks @ encoder.vector(QUESTION, "query")
    assert [one.chunk_id for one in found.after] == [CHUNKS[row] for row in np.argsort(-scores)]
    assert [one.chunk_id for one in found.after if one.right] == ["shutil:copy"]
    assert (found.before == found.after) is (encoder is BASE)


def test_the_demo_waits_until_the_promoted_model_answers_without_a_restart() -> None:
    switch = Switch(generation(BASE))
    promoted = iter([False, False, True])

    def check() -> None:
        if next(promoted):
            switch.now = generation(TRAINED, BASE)

    with asked(switch) as server:
        text = wait_for(
            awaiting(server, QUESTION, expected_model(PROMOTED)),
            Terminal(io.StringIO()), check,
            log_path=None, timeout_s=60, sleep=lambda _: None,
        )  # fmt: skip

    assert text == "model-1 answers"


def test_a_server_that_does_not_follow_is_named_with_what_answers_in_its_place() -> None:
    clock = iter(range(1_000))
    with asked(Switch(generation(BASE))) as server, pytest.raises(DemoFailedError) as late:
        wait_for(
            awaiting(server, QUESTION, "model-1"),
            Terminal(io.StringIO()), lambda: None,
            log_path=None, timeout_s=10, clock=lambda: float(next(clock)), sleep=lambda _: None,
        )  # fmt: skip

    assert "(base/model answers)" in str(late.value)
    assert list(serving_problems(served("base"))) == [
        "the server answers with base, and m1 ought to serve"
    ]


def test_a_server_that_is_gone_or_compares_with_other_documents_is_a_problem() -> None:
    other = replace(served(), documents_match=False)

    assert list(serving_problems(None)) == ["the server did not answer"]
    assert "another space" in next(serving_problems(other))


def test_a_server_that_does_not_answer_yet_is_asked_again() -> None:
    refused = AskedServer(OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none", max_retries=0))

    assert refused.ask(QUESTION) is None
    assert not awaiting(refused, QUESTION, "m1").poll().over


def test_the_question_shown_is_one_that_gained_or_the_first_where_none_did() -> None:
    lost = shift("fell", "a", "files", 1, 3)

    assert shown_question([lost, SHIFT]) == SHIFT
    assert shown_question([lost]) == lost


def test_page_and_table_say_that_the_base_model_answers_when_nothing_was_promoted() -> None:
    nothing = replace(result(), served=served("base", promoted=False))
    out = io.StringIO()
    Terminal(out).say(*summary(nothing))

    for text in (out.getvalue(), html_report(nothing)):
        assert "nothing was promoted, so the base model answers as before" in text
        assert "promoted in this run" not in text
