"""The shape of a request, and how it gives way to servers that lack a feature. Pure.

"OpenAI-compatible" covers servers that refuse `json_schema`, reasoning models that refuse a
temperature, and old ones that know only `max_tokens`. Each refusal is a 400 or 422 that names the
parameter; the shape then changes once and stays so for the life of the process. Which answers are
accepted does not depend on it: `answer.parse` is equally strict on all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from ragwheel.grading.asking.answer import ANSWER_SCHEMA
from ragwheel.grading.endpoint.retry import CallFailure

#: Room for the answer: entries of about 12 tokens, and for reasoning that some models spend here.
#: A ceiling against runaway output, not a price.
_BASE_TOKENS = 1_024
_TOKENS_PER_PASSAGE = 32
_JSON_SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "grades", "strict": True, "schema": ANSWER_SCHEMA},
}


#: Tokens that a chat template puts around two messages, generously.
_FRAME_TOKENS = 64


def most_tokens(system: str, user: str, passages: int) -> tuple[int, int]:
    """(input, output) tokens that a call can be billed for at most, before it is sent.

    No tokenizer makes more tokens than a text has bytes; the schema is counted as a text as well.
    """
    texts = (system.encode(), user.encode(), orjson.dumps(_JSON_SCHEMA))
    return sum(map(len, texts)) + _FRAME_TOKENS, _output_tokens(passages)


def _output_tokens(passages: int) -> int:
    return _BASE_TOKENS + _TOKENS_PER_PASSAGE * passages


@dataclass(frozen=True, slots=True)
class RequestShape:
    """Which optional parts a request has."""

    response_format: Literal["json_schema", "json_object", "none"] = "json_schema"
    temperature: float | None = 0.0
    limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"

    def __str__(self) -> str:
        form = "without format" if self.response_format == "none" else self.response_format
        temperature = "no" if self.temperature is None else f"{self.temperature:g}"
        return f"{form}, temperature {temperature}, {self.limit_field}"

    def body(self, model: str, system: str, user: str, passages: int) -> dict[str, Any]:
        """Arguments of `chat.completions.create`."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
            ],
            self.limit_field: _output_tokens(passages),
        }
        if self.temperature is not None:
            body["temperature"] = self.temperature
        # As `extra_body`, because the SDK spends a quarter of a call on walking through the schema.
        if self.response_format == "json_schema":
            body["extra_body"] = {"response_format": _JSON_SCHEMA}
        elif self.response_format == "json_object":
            body["extra_body"] = {"response_format": {"type": "json_object"}}
        return body


def adapt(shape: RequestShape, failure: CallFailure) -> RequestShape | None:
    """The shape to use after `failure`, or None when it does not complain about a part of it."""
    if failure.status not in (400, 422):
        return None
    complaint = f"{failure.code} {failure.message}".lower()
    if any(word in complaint for word in ("response_format", "json_schema", "structured output")):
        if shape.response_format == "json_schema":
            return replace(shape, response_format="json_object")
        if shape.response_format == "json_object":
            return replace(shape, response_format="none")
    if "temperature" in complaint and shape.temperature is not None:
        return replace(shape, temperature=None)
    if "max_completion_tokens" in complaint and shape.limit_field == "max_completion_tokens":
        return replace(shape, limit_field="max_tokens")
    return None
