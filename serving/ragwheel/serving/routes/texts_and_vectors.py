"""What the three embedding APIs have in common."""

from __future__ import annotations

import base64
from typing import Any

from ragwheel.models.encoder import Vectors
from ragwheel.serving.asking import AskedFor
from ragwheel.serving.refusals import wrong


def texts_of(given: Any, field: str) -> list[str]:
    """The texts of a field that holds one or a list.

    Raises:
        Refusal: 400; token ids are another tokenizer's, and would be read as other words.
    """
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list):
        raise wrong(field, "it must be a text or a list of texts")
    if any(isinstance(each, int | list) for each in texts):
        raise wrong(
            field,
            "it holds token ids, which this model would read as other words: send texts. In "
            "langchain-openai, OpenAIEmbeddings(check_embedding_ctx_length=False) does so",
        )
    for row, each in enumerate(texts):
        if not isinstance(each, str):
            raise wrong(f"{field}[{row}]", f"it must be a text, and is {type(each).__name__}")
    return texts


def require_dimension(what: AskedFor, given: int | None, field: str) -> None:
    """Refuse another length than the model's: cut short, vectors would be another model's.

    Raises:
        Refusal: 400.
    """
    if given not in (None, what.encoder.dimension):
        raise wrong(
            field,
            f"{given}, and the model's vectors have {what.encoder.dimension} numbers; cut short "
            "they would be another model's: leave it out",
        )


def packed(vectors: Vectors) -> list[str]:
    """Base64 of float32, little-endian on every machine: what clients unpack."""
    return [base64.b64encode(row).decode() for row in vectors.astype("<f4")]
