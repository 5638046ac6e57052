"""OpenAI's `/v1/embeddings` and `/v1/models`.

The wire has no field for the role. It is said by the model's name (`ragwheel:document`), or by
`input_type`, which NVIDIA's and vLLM's servers take here too, or Jina's `task`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from ragwheel.serving.asking import names
from ragwheel.serving.reception import Api, Call, Reply
from ragwheel.serving.refusals import Refusal
from ragwheel.serving.routes.texts_and_vectors import packed, require_dimension, texts_of

#: What OpenAI calls the families of errors.
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class _OpenAiEmbeddings(BaseModel):
    input: Any
    model: str
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    input_type: str | None = None
    task: str | None = None


def _error(refusal: Refusal) -> dict[str, Any]:
    family = "server_error" if refusal.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": str(refusal),
            "type": _TYPES.get(refusal.status, family),
            "param": refusal.param or None,
            "code": refusal.code,
        }
    }


OPENAI = Api("OpenAI", _error)


async def embeddings(call: Call) -> Reply:
    """`POST /v1/embeddings`."""
    body = call.body(_OpenAiEmbeddings)
    what = call.asked(body.model, body.input_type or body.task)
    texts = texts_of(body.input, "input")
    require_dimension(what, body.dimensions, "dimensions")
    vectors = await call.answering.vectors(what, texts, "input")
    encoded = list(vectors) if body.encoding_format == "float" else packed(vectors)
    tokens = call.answering.tokens(what, texts)
    content = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": row, "embedding": embedding}
            for row, embedding in enumerate(encoded)
        ],
        "model": what.generation.model_id,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    generation = what.generation
    return Reply(content, generation.model_id, generation.document_fingerprint, what.side)


async def models(call: Call) -> Reply:
    """`GET /v1/models`: every name that can be asked for, with its role."""
    generation = call.generation()
    created = int(generation.since.timestamp())
    return Reply(
        {
            "object": "list",
            "data": [
                {
                    "id": f"{name}{role}",
                    "object": "model",
                    "created": created,
                    "owned_by": "ragwheel",
                }
                for name in names(generation)
                for role in ("", ":query", ":document")
            ],
        },
        generation.model_id,
        generation.document_fingerprint,
    )
