"""`/embed`, `/rerank` and `/info` of Hugging Face's text-embeddings-inference."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ragwheel.serving.answering import reranker_of
from ragwheel.serving.asking import ALIAS, ROLES, names
from ragwheel.serving.reception import Api, Call, Reply
from ragwheel.serving.refusals import Refusal, wrong
from ragwheel.serving.routes.ranking import best_first
from ragwheel.serving.routes.texts_and_vectors import require_dimension, texts_of

#: What that server calls the families of errors; what else a caller did wrong is `Validation`.
_TYPES = {429: "Overloaded", 503: "Unhealthy"}


class _TeiEmbed(BaseModel):
    inputs: Any
    prompt_name: str | None = None
    normalize: bool = True
    truncate: bool | None = None
    truncation_direction: str = "Right"
    dimensions: int | None = None


class _TeiRerank(BaseModel):
    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False


def _error(refusal: Refusal) -> dict[str, Any]:
    family = "Backend" if refusal.status >= 500 else "Validation"
    return {"error": str(refusal), "error_type": _TYPES.get(refusal.status, family)}


TEI = Api("text-embeddings-inference", _error)


async def embed(call: Call) -> Reply:
    """`POST /embed`."""
    body = call.body(_TeiEmbed)
    what = call.asked(role=body.prompt_name)
    if not body.normalize:
        raise wrong(
            "normalize",
            "false, and vectors have length 1 here, as in the index: send true, or leave it out",
        )
    if body.truncate is False:
        raise wrong(
            "truncate",
            "false, and texts are cut here where they are longer than the model reads, as in the "
            "index: send true, or leave it out",
        )
    if body.truncation_direction.lower() != "right":
        raise wrong(
            "truncation_direction",
            f"{body.truncation_direction[:100]!r}, and texts are cut at the end here, as in the "
            "index: send Right, or leave it out",
        )
    require_dimension(what, body.dimensions, "dimensions")
    texts = texts_of(body.inputs, "inputs")
    vectors = await call.answering.vectors(what, texts, "inputs")
    generation = what.generation
    return Reply(list(vectors), generation.model_id, generation.document_fingerprint, what.side)


async def rerank(call: Call) -> Reply:
    """`POST /rerank`: a bare list, best first."""
    body = call.body(_TeiRerank)
    generation = call.generation()
    reranker = reranker_of(generation)
    if body.raw_scores:
        raise wrong("raw_scores", "scores are from 0 to 1 here: leave it out")
    scores = await call.answering.scores(generation, body.query, body.texts, "texts")
    content = [
        {"index": index, "score": scores[index]}
        | ({"text": body.texts[index]} if body.return_text else {})
        for index in best_first(scores)
    ]
    return Reply(content, reranker.name, generation.document_fingerprint)


async def info(call: Call) -> Reply:
    """`GET /info`: what serves, since when, and how a role is said."""
    generation = call.generation()
    state = call.answering.follower.state()
    content = {
        "model_id": generation.model_id,
        "model_sha": generation.query.fingerprint,
        "model_type": {"embedding": {"pooling": "of the model"}},
        "max_client_batch_size": call.answering.max_texts,
        "base_model": generation.base_model,
        "document_fingerprint": generation.document_fingerprint,
        "since": generation.since.isoformat(),
        "dimension": generation.query.dimension,
        "names": names(generation),
        "roles": {
            "unsaid": "query",
            "matters": generation.role_matters,
            "by_name": [f"{ALIAS}:query", f"{ALIAS}:document"],
            "by_field": ROLES,
        },
        "prompts": {
            "query": generation.query.prompt("query"),
            "document": generation.document.prompt("document"),
        },
        "reranker": generation.reranker.name if generation.reranker else None,
        "candidate": state.candidate.model_id if state.candidate else None,
        "alias": state.alias,
        "swaps": state.swaps,
        "last_refusal": state.last_refusal,
    }
    return Reply(content, generation.model_id, generation.document_fingerprint)
