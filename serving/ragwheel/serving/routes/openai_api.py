"""OpenAI's `/v1/embeddings` and `/v1/models`.

The wire has no field for the role. It is said by the model's name (`ragwheel:document`), or by
`input_type`, which NVIDIA's and vLLM's servers take here too, or Jina's `task`.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import BaseModel

from ragwheel.models.encoder import Vectors
from ragwheel.serving.asking import names
from ragwheel.serving.reception import Api, Call, Reply
from ragwheel.serving.refusals import Refusal, wrong

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
    texts = _texts(body.input)
    if body.dimensions not in (None, what.encoder.dimension):
        raise wrong(
            "dimensions",
            f"{body.dimensions}, and the model's vectors have {what.encoder.dimension} numbers; "
            "cut short they would be another model's: leave it out",
        )
    vectors = await call.answering.vectors(what, texts, "input")
    tokens = call.answering.tokens(what, texts)
    content = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": row, "embedding": embedding}
            for row, embedding in enumerate(_encoded(vectors, body.encoding_format))
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


def _texts(given: Any) -> list[str]:
    """The texts of `input`.

    Raises:
        Refusal: 400; token ids are another tokenizer's, and would be read as other words.
    """
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list):
        raise wrong("input", "it must be a text or a list of texts")
    if any(isinstance(each, int | list) for each in texts):
        raise wrong(
            "input",
            "it holds token ids, which this model would read as other words: send texts. In "
            "langchain-openai, OpenAIEmbeddings(check_embedding_ctx_length=False) does so",
        )
    for row, each in enumerate(texts):
        if not isinstance(each, str):
            raise wrong(f"input[{row}]", f"it must be a text, and is {type(each).__name__}")
    return texts


def _encoded(vectors: Vectors, form: str) -> list[Any]:
    if form == "float":
        return list(vectors)
    # Little-endian on every machine: what clients unpack.
    return [base64.b64encode(row).decode() for row in vectors.astype("<f4")]
