"""Model names and roles: said by name or field, never guessed without a word."""

from __future__ import annotations

import logging

import pytest
from tests.rigs.serving import SeenEncoder, generation

from ragwheel.serving.asking import ROLES, Unsaid, asked, names
from ragwheel.serving.refusals import Refusal

QUERY, BASE = SeenEncoder("trained"), SeenEncoder("base")
PROMOTED = generation(QUERY, BASE)
BASE_ALONE = generation(BASE)
WHOLE = generation(QUERY, SeenEncoder("trained"))


@pytest.mark.parametrize(
    ("model", "role", "encoder", "side", "said"),
    [
        ("ragwheel", None, QUERY, "query", False),
        ("ragwheel:query", None, QUERY, "query", True),
        ("ragwheel:document", None, BASE, "document", True),
        ("model-1:document", "passage", BASE, "document", True),
        ("model-1", "search_query", QUERY, "query", True),
        ("ragwheel", "retrieval.passage", BASE, "document", True),
        # Its name must not mean another model's vectors, for queries neither.
        ("base/model", None, BASE, "query", False),
        ("base/model:document", None, BASE, "document", True),
    ],
)
def test_a_name_and_a_role_mean_one_encoder(
    model: str, role: str | None, encoder: SeenEncoder, side: str, said: bool
) -> None:
    what = asked(PROMOTED, model, role)
    assert what.encoder is encoder
    assert (what.side, what.said) == (side, said)


def test_a_base_model_that_is_not_loaded_is_not_offered() -> None:
    assert names(PROMOTED) == ["ragwheel", "model-1", "base/model"]
    assert names(BASE_ALONE) == ["ragwheel", "base/model"]
    assert names(WHOLE) == ["ragwheel", "model-1"]
    with pytest.raises(Refusal, match="'base/model' does not serve here; there are ragwheel, "):
        asked(WHOLE, "base/model")


@pytest.mark.parametrize("model", ["text-embedding-3-small", "", "ragwheel:passage", "x" * 9_000])
def test_an_unknown_model_is_refused_with_those_there_are(model: str) -> None:
    with pytest.raises(Refusal, match="there are ragwheel, model-1, base/model") as refused:
        asked(PROMOTED, model)
    assert refused.value.status == 404
    assert len(str(refused.value)) < 400


def test_an_unknown_role_is_refused_with_those_there_are() -> None:
    with pytest.raises(Refusal, match=r"'text-matching' is no role.*search_query") as refused:
        asked(PROMOTED, "ragwheel", "text-matching")
    assert refused.value.status == 400


def test_a_name_and_a_field_that_differ_are_refused() -> None:
    with pytest.raises(Refusal, match="says document, and the request says 'query'"):
        asked(PROMOTED, "ragwheel:document", "query")


def test_every_role_is_one_of_two_sides() -> None:
    assert set(ROLES.values()) == {"query", "document"}


def test_a_caller_without_a_role_is_told_once_where_it_matters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    unsaid = Unsaid()
    for _ in range(3):
        unsaid.note("127.0.0.1 (curl)", asked(PROMOTED))
        unsaid.note("127.0.0.1 (openai)", asked(PROMOTED))
        unsaid.note("127.0.0.1 (wget)", asked(PROMOTED, role="query"))
        unsaid.note("127.0.0.1 (wget)", asked(BASE_ALONE))
    told = [record.getMessage() for record in caplog.records]
    assert [each.split(" asks")[0] for each in told] == ["127.0.0.1 (curl)", "127.0.0.1 (openai)"]
    assert "ragwheel:query or ragwheel:document" in told[0]


def test_prompts_make_the_role_matter_too() -> None:
    e5 = SeenEncoder("e5", {"query": "query: ", "document": "passage: "})
    assert generation(e5).role_matters
    assert not BASE_ALONE.role_matters
    assert PROMOTED.role_matters
