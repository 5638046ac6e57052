"""Jina's `/v1/rerank`, which vLLM, Infinity and LocalAI answer too."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from ragwheel.serving.reception import Api, Call, Reply
from ragwheel.serving.refusals import Refusal
from ragwheel.serving.routes.ranking import best_first, require_reranker_name


class _JinaDocument(BaseModel):
    text: str


class _JinaRerank(BaseModel):
    model: str
    query: str
    documents: list[str | _JinaDocument]
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = True


def _error(refusal: Refusal) -> dict[str, Any]:
    return {"detail": str(refusal)}


JINA = Api("Jina", _error)


async def rerank(call: Call) -> Reply:
    """`POST /v1/rerank`: best first."""
    body = call.body(_JinaRerank)
    generation = call.generation()
    reranker = require_reranker_name(generation, body.model)
    texts = [each if isinstance(each, str) else each.text for each in body.documents]
    scores = await call.answering.scores(generation, body.query, texts, "documents")
    tokens = int(generation.query.tokens([body.query, *texts]).sum())
    content = {
        "model": reranker.name,
        "usage": {"total_tokens": tokens, "prompt_tokens": tokens},
        "results": [
            {"index": index, "relevance_score": scores[index]}
            | ({"document": {"text": texts[index]}} if body.return_documents else {})
            for index in best_first(scores, body.top_n)
        ],
    }
    return Reply(content, reranker.name, generation.document_fingerprint)
