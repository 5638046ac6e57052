"""Identities are for good: a changed digest would pay for every label a second time."""

from __future__ import annotations

import hashlib
import itertools
import statistics
import struct
from importlib import resources
from typing import Any

import orjson
import pytest

from ragwheel.schemas import identity


def test_digests_never_change() -> None:
    # Written down once. If one differs, stored labels lose their queries and chunks.
    assert identity.query_hash("How do I open a file?") == "a4ed675c7a5ce81f556d9704bda0de54"
    assert identity.content_hash("def open(path): ...") == "bf94023880debf467231ee318e4ce072"
    assert (
        identity.label_id("a" * 32, "b" * 32, "rubric-1", "m@1", "label")
        == "70a87a372b9a076bda5ca5a289db75a1"
    )
    assert identity.job_id("event-1", "judge") == "137f1e0959e03a5952ddf4b00882b2b9"
    assert (
        identity.dead_letter_id("queries", 3, 41, 1_700_000_000_123)
        == "aea93124276a2cbe06afa41c0bccb330"
    )
    assert identity.grader_id("m", {"temperature": 0.0, "seed": 7}, "p") == "m@2c656f12b80f"
    assert identity.randomness_56("q-1") == 22_233_280_848_626_361


VECTORS = orjson.loads(
    (resources.files("ragwheel.schemas") / "examples/identities.json").read_bytes()
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_vectors_for_other_languages_hold(vector: dict[str, Any]) -> None:
    assert getattr(identity, vector["name"])(*vector["of"]) == vector["is"]


def test_every_identity_on_the_wire_has_a_vector() -> None:
    named = {
        "canonical_query",
        "query_hash",
        "content_hash",
        "job_id",
        "label_id",
        "dead_letter_id",
    }
    assert {vector["name"] for vector in VECTORS} == named


def test_a_hash_can_be_made_with_what_every_language_has() -> None:
    text = "naïve café 東京"
    assert identity.content_hash(text) == hashlib.sha256(text.encode()).hexdigest()[:32]
    fields = (b"job", b"event-1", b"label")
    prefixed = b"".join(struct.pack(">Q", len(field)) + field for field in fields)
    assert identity.job_id("event-1", "label") == hashlib.sha256(prefixed).hexdigest()[:32]


@pytest.mark.parametrize(
    "spelling",
    [
        "how do i open a file?",
        "  How do\tI\nopen  a file? ",
        "HOW DO I OPEN A FILE?",
        "How do I open a ﬁle?",  # the fi ligature
        "Ｈow do I open a file？",  # full-width letters of a Japanese keyboard
    ],
)
def test_spellings_of_one_query_are_one_query(spelling: str) -> None:
    assert identity.canonical_query(spelling) == "how do i open a file?"
    assert identity.query_hash(spelling) == identity.query_hash("How do I open a file?")


@pytest.mark.parametrize("other", ["how do i open a file", "how do i open files?", "open a file?"])
def test_other_queries_are_other_queries(other: str) -> None:
    assert identity.query_hash(other) != identity.query_hash("How do I open a file?")


def test_folding_is_the_full_unicode_one() -> None:
    assert identity.query_hash("Straße") == identity.query_hash("STRASSE")
    assert identity.query_hash("re\u0301sume\u0301") == identity.query_hash("résumé")


def test_a_canonical_query_is_its_own_canonical_form() -> None:
    for text in ("ﬁle ǅ İstanbul", "e\u0301 \u00a0 x", "ΑΣ ΑΣ", "１２３ Ⅳ"):
        once = identity.canonical_query(text)
        assert identity.canonical_query(once) == once


def test_any_changed_byte_is_another_chunk() -> None:
    texts = ["a b", "a  b", "A b", "a b ", "a b\n", "á", "a\u0301"]
    assert len({identity.content_hash(text) for text in texts}) == len(texts)


def test_neighbouring_fields_cannot_run_into_each_other() -> None:
    splits = [("ab", "c"), ("a", "bc"), ("abc",), ("", "abc"), ("abc", ""), ("a", "b", "c")]
    digests = [identity.digest("kind", *fields) for fields in splits]
    assert len(set(digests)) == len(splits)


def test_equal_fields_of_two_kinds_differ() -> None:
    assert identity.digest("query", "x") != identity.digest("chunk", "x")


@pytest.mark.parametrize("text", ["", "\u0000", "\ud800 half a pair", "😀", "x" * 1_000_000])
def test_every_string_has_an_identity(text: str) -> None:
    for digest in (identity.query_hash(text), identity.content_hash(text)):
        assert len(digest) == 32
        assert set(digest) <= set("0123456789abcdef")
    assert 0 <= identity.randomness_56(text) < 2**56


def test_a_label_is_of_one_pair_one_rubric_one_grader_and_one_role() -> None:
    usual = ("q" * 32, "c" * 32, "1", "m@1", "judge")
    changed = [
        tuple("x" if index == each else value for index, value in enumerate(usual))
        for each in range(5)
    ]
    ids = {identity.label_id(*fields) for fields in [usual, *changed]}
    assert len(ids) == 6


def test_a_grader_is_its_model_parameters_and_prompt() -> None:
    usual = identity.grader_id("gpt", {"temperature": 0.0, "seed": 7}, "p1")
    assert usual == identity.grader_id("gpt", {"seed": 7, "temperature": 0.0}, "p1")
    others = [
        identity.grader_id("gpt-2", {"temperature": 0.0, "seed": 7}, "p1"),
        identity.grader_id("gpt", {"temperature": 0.5, "seed": 7}, "p1"),
        identity.grader_id("gpt", {"temperature": 0.0}, "p1"),
        identity.grader_id("gpt", {"temperature": 0.0, "seed": 7}, "p2"),
    ]
    assert len({usual, *others}) == 5
    assert usual.startswith("gpt@")


def test_randomness_is_uniform_also_for_ids_in_sequence() -> None:
    # A count per tenth of 20,000 sequential ids; chi-squared of 9 degrees stays under 27.9 (0.1 %).
    counts = [0] * 10
    for number in range(20_000):
        counts[identity.randomness_56(f"query-{number}") * 10 // 2**56] += 1
    expected = statistics.mean(counts)
    assert sum((count - expected) ** 2 / expected for count in counts) < 27.9


def test_neighbouring_ids_share_no_randomness() -> None:
    bits = [identity.randomness_56(f"q-{number}") for number in range(2_000)]
    changed = [(a ^ b).bit_count() for a, b in itertools.pairwise(bits)]
    assert 27 < statistics.mean(changed) < 29


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("gpt-5-mini", "o3", True),
        ("openrouter/org/GPT-5", "gpt4o", True),
        ("org/Llama-3.1-8B", "llama3:70b", True),
        ("mixtral-8x7b", "Mistral-Large", True),
        ("qwq-32b", "Qwen3-8B", True),
        ("gpt-5", "llama3", False),
        ("gpt-5", "qwen3", False),
    ],
)
def test_siblings_are_told_by_their_names(one: str, other: str, same: bool) -> None:
    assert (identity.family_of(one) == identity.family_of(other)) == same


@pytest.mark.parametrize("model", ["", "70b", "org/", "模型"])
def test_a_name_that_tells_no_family_has_none(model: str) -> None:
    assert identity.family_of(model) == ""
