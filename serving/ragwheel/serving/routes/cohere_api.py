"""Cohere's `/v2/embed`, which says the role, and `/v2/rerank`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from ragwheel.serving.reception import Api, Call, Reply
from ragwheel.serving.refusals import Refusal, wrong
from ragwheel.serving.routes.ranking import best_first, require_reranker_name
from ragwheel.serving.routes.texts_and_vectors import packed, require_dimension, texts_of

#: Input types of the API that are no side of a search.
_NOT_RETRIEVAL = ("classification", "clustering", "image")


class _CohereEmbed(BaseModel):
    model: str
    input_type: str
    texts: Any = None
    inputs: Any = None
    images: Any = None
    embedding_types: list[str] = Field(default_factory=lambda: ["float"])
    output_dimension: int | None = None
    truncate: str = "END"


class _CohereRerank(BaseModel):
    model: str
    query: str
    documents: list[str]
    top_n: int | None = Field(default=None, ge=1)


def _error(refusal: Refusal) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "message": str(refusal)}


COHERE = Api("Cohere", _error)


async def embed(call: Call) -> Reply:
    """`POST /v2/embed`."""
    body = call.body(_CohereEmbed)
    if body.input_type in _NOT_RETRIEVAL:
        raise wrong(
            "input_type",
            f"{body.input_type!r} is not what this model was trained for: send search_query or "
            "search_document",
        )
    what = call.asked(body.model, body.input_type)
    if body.texts is None:
        raise wrong("texts", "this model reads texts only: send them here, not in inputs or images")
    require_dimension(what, body.output_dimension, "output_dimension")
    if body.truncate != "END":
        raise wrong(
            "truncate",
            f"{body.truncate!r} is not done here: texts are cut at the end, as in the index; leave "
            "it out or send END",
        )
    _require_types(body.embedding_types)
    texts = texts_of(body.texts, "texts")
    vectors = await call.answering.vectors(what, texts, "texts")
    tokens = call.answering.tokens(what, texts)
    content = {
        "id": uuid.uuid4().hex,
        "embeddings": {
            name: list(vectors) if name == "float" else packed(vectors)
            for name in body.embedding_types
        },
        "texts": texts,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
        "response_type": "embeddings_by_type",
    }
    generation = what.generation
    return Reply(content, generation.model_id, generation.document_fingerprint, what.side)


async def rerank(call: Call) -> Reply:
    """`POST /v2/rerank`: best first, documents are not repeated."""
    body = call.body(_CohereRerank)
    generation = call.generation()
    reranker = require_reranker_name(generation, body.model)
    scores = await call.answering.scores(generation, body.query, body.documents, "documents")
    content = {
        "id": uuid.uuid4().hex,
        "results": [
            {"index": index, "relevance_score": scores[index]}
            for index in best_first(scores, body.top_n)
        ],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    }
    return Reply(content, reranker.name, generation.document_fingerprint)


def _require_types(names: Sequence[str]) -> None:
    for name in names:
        if name not in ("float", "base64"):
            raise wrong(
                "embedding_types",
                f"{name[:100]!r} is not made here, for what is lost by it depends on the corpus: "
                "send float or base64, and let the vector store quantize",
            )
