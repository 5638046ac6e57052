"""What search libraries return is read without adapters."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from ragwheel.client import Hit
from ragwheel.client.candidates import candidates, mark_used
from ragwheel.client.hits import chunk_id_of
from ragwheel.schemas import identity
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import Candidate

TEXT = "Keys rotate in the console."
HASH = identity.content_hash(TEXT)


@dataclass
class LangChainDocument:
    page_content: str
    id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class LlamaIndexNode:
    node_id: str
    text: str

    def get_content(self) -> str:
        return self.text


@dataclass
class NodeWithScore:
    node: LlamaIndexNode
    score: float | None


@dataclass
class QdrantPoint:
    id: UUID
    score: float
    payload: dict[str, Any]


@dataclass
class HaystackDocument:
    id: str
    content: str
    score: float


ITEMS = {
    "Hit": Hit("c-1", 0.5, TEXT),
    "tuple of three": ("c-1", 0.5, TEXT),
    "list of three": ["c-1", 0.5, TEXT],
    "our own dict": {"chunk_id": "c-1", "score": 0.5, "text": TEXT},
    "read-only mapping": MappingProxyType({"chunk_id": "c-1", "score": 0.5, "text": TEXT}),
    "dict of a vector store": {"id": "c-1", "score": 0.5, "metadata": {"text": TEXT}},
    "Elasticsearch": {"_id": "c-1", "_score": 0.5, "_source": {"text": TEXT}},
    "LangChain with score": (LangChainDocument(TEXT, id="c-1"), 0.5),
    "LangChain, id in metadata": (LangChainDocument(TEXT, metadata={"chunk_id": "c-1"}), 0.5),
    "LlamaIndex": NodeWithScore(LlamaIndexNode("c-1", TEXT), 0.5),
    "Haystack": HaystackDocument("c-1", TEXT, 0.5),
    "our own model": Candidate(chunk_id="c-1", rank=1, score=0.5, text=TEXT),
}


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS.keys())
def test_every_usual_form_reads_as_the_same_candidate(item: object) -> None:
    expected = {"chunk_id": "c-1", "rank": 1, "score": 0.5}
    assert candidates([item], send_text=True) == [expected | {"text": TEXT}]
    assert candidates([item], send_text=False) == [expected | {"content_hash": HASH}]


def test_a_uuid_is_a_chunk_id() -> None:
    point = QdrantPoint(UUID(int=7), 0.25, {"text": TEXT})
    (found,) = candidates([point], send_text=True)
    assert found["chunk_id"] == str(UUID(int=7))


def test_an_integer_id_and_an_integer_score_are_taken() -> None:
    assert candidates([(7, 3, TEXT)], send_text=True) == [
        {"chunk_id": "7", "rank": 1, "score": 3.0, "text": TEXT}
    ]


def test_numbers_of_numeric_libraries_are_taken() -> None:
    class Float32:
        def __float__(self) -> float:
            return 0.5

    (found,) = candidates([("c-1", Float32(), TEXT)], send_text=True)
    assert found["score"] == 0.5
    assert type(found["score"]) is float


def test_a_hash_stands_for_a_text_that_was_sent_before() -> None:
    expected = [{"chunk_id": "c-1", "rank": 1, "score": 0.5, "content_hash": HASH}]
    assert candidates([Hit("c-1", 0.5, content_hash=HASH)], send_text=True) == expected
    with_dict = {"chunk_id": "c-1", "score": 0.5, "content_hash": HASH}
    assert candidates([with_dict], send_text=True) == expected


def test_a_text_outranks_a_hash_that_somebody_made_by_another_rule() -> None:
    md5_like = {"chunk_id": "c-1", "score": 0.5, "text": TEXT, "content_hash": "0" * 32}
    (found,) = candidates([md5_like], send_text=False)
    assert found["content_hash"] == HASH


def test_the_rank_is_the_position_unless_it_is_given() -> None:
    hits = [Hit(f"c-{n}", 0.5, TEXT) for n in range(3)]
    assert [found["rank"] for found in candidates(hits, send_text=True)] == [1, 2, 3]
    given = [hit._replace(rank=rank) for hit, rank in zip(hits, (5, 1, 2), strict=True)]
    assert [found["rank"] for found in candidates(given, send_text=True)] == [5, 1, 2]


def test_a_retriever_without_scores_sends_zero() -> None:
    document = LangChainDocument(TEXT, id="c-1")
    assert candidates([document], send_text=True)[0]["score"] == 0.0


def test_chunks_of_the_prompt_are_marked_by_any_form() -> None:
    hits = [Hit("c-1", 0.5, TEXT), Hit("c-2", 0.4, TEXT), Hit("c-3", 0.3, TEXT)]
    found = candidates(hits, send_text=True)
    mark_used(found, {chunk_id_of("c-1"), chunk_id_of(hits[2])})
    assert [fields.get("in_context", False) for fields in found] == [True, False, True]


BAD = {
    "an id alone": ("c-1", "give (chunk_id, score, text)"),
    "nothing": (None, "give (chunk_id, score, text)"),
    "a single": (("c-1",), "a tuple of 1"),
    "no id": ({"score": 1.0, "text": TEXT}, "chunk_id: candidate 1 has chunk id 'None'"),
    "an empty id": (("", 1.0, TEXT), "chunk_id"),
    "an endless id": (("c" * 257, 1.0, TEXT), "chunk_id"),
    "a score that is no number": (("c-1", "high", TEXT), "score: candidate 1 has score 'high'"),
    "a score that is NaN": (("c-1", float("nan"), TEXT), "has score nan"),
    "an endless score": (("c-1", float("inf"), TEXT), "has score inf"),
    "a score beyond 32 bits": (("c-1", 1e39, TEXT), "has score 1e"),
    "neither text nor hash": (("c-1", 1.0), "identity.content_hash"),
    "an empty text": (("c-1", 1.0, ""), "identity.content_hash"),
    "a text of bytes": (("c-1", 1.0, b"x"), "not bytes"),
    "an endless text": (("c-1", 1.0, "x" * 65_537), "not 65537 characters"),
    "a hash in capitals": (Hit("c-1", content_hash="A" * 32), "content_hash 'AAAA"),
    "a short hash": (Hit("c-1", content_hash="a" * 31), "content_hash"),
    "rank 0": (Hit("c-1", 1.0, TEXT, rank=0), "1 is the top"),
    "a rank of text": ({"chunk_id": "c", "score": 1.0, "text": TEXT, "rank": "1"}, "1 is the top"),
}


@pytest.mark.parametrize(("item", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_is_refused_with_its_fix(item: object, message: str) -> None:
    with pytest.raises(InvalidEventError) as refused:
        candidates([item], send_text=True)
    assert message in refused.value.detail
    assert refused.value.reason == "invalid_field"


def hash_dict(value: str) -> dict[str, Any]:
    return {"chunk_id": "c", "score": 1.0, "content_hash": value}


@pytest.mark.parametrize("bad", ["g" * 32, "A" * 32, "é" * 32, "a" * 15 + "  " + "a" * 15])
def test_one_bad_hash_among_good_ones_is_found(bad: str) -> None:
    with pytest.raises(InvalidEventError, match="content_hash"):
        candidates([hash_dict("a" * 32), hash_dict(bad), hash_dict("b" * 32)], send_text=True)


def test_hashes_of_wrong_lengths_do_not_make_up_for_each_other() -> None:
    with pytest.raises(InvalidEventError, match="content_hash"):
        candidates([hash_dict("a" * 30), hash_dict("b" * 34)], send_text=True)


def test_ranks_that_repeat_are_refused() -> None:
    hits = [Hit("c-1", 1.0, TEXT, rank=2), Hit("c-2", 1.0, TEXT)]
    with pytest.raises(InvalidEventError, match="ranks repeat"):
        candidates(hits, send_text=True)


def test_more_candidates_than_the_schema_takes_are_refused() -> None:
    with pytest.raises(InvalidEventError, match="201 are too many"):
        candidates([(f"c-{n}", 1.0, TEXT) for n in range(201)], send_text=True)
