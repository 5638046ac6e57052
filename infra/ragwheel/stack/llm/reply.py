"""Reading the grader's prompt and writing the answer, right or faulty. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ragwheel.stack.llm.faults import Fault

_QUERY = re.compile(r"<query (?P<nonce>\w+)>\n(?P<text>.*?)\n</query (?P=nonce)>", re.DOTALL)
_CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class AskedPassages:
    """What a prompt asks: a query and passages by their ids."""

    query: str
    passages: Mapping[str, str]


def read_prompt(messages: Sequence[Mapping[str, Any]]) -> AskedPassages:
    """Find query and passages in the last user message.

    Raises:
        ValueError: it is not a prompt of our grader.
    """
    user = next((each["content"] for each in reversed(messages) if each["role"] == "user"), "")
    query = _QUERY.search(user)
    if query is None:
        raise ValueError("the last user message has no <query …> block")
    # Everything is delimited by the nonce of the query block; text that imitates it is just text.
    passage = re.compile(
        rf'<passage {query["nonce"]} id="(\w+)">\n(.*?)\n</passage {query["nonce"]}>', re.DOTALL
    )
    return AskedPassages(query["text"], dict(passage.findall(user, query.end())))


def completion(
    number: int, model: str, prompt_chars: int, grades: Mapping[str, int], fault: Fault | None
) -> dict[str, Any]:
    """The body of a 200 answer that gives `grades`, spoilt by `fault`."""
    entries: list[dict[str, Any]] = [
        {"id": opaque, "grade": grade} for opaque, grade in grades.items()
    ]
    kind = fault.kind if fault else ""
    entries = _spoil_entries(entries, kind)
    written = orjson.dumps({"grades": entries}).decode()
    text: str | None = written
    finish = "stop"
    refusal = None
    if kind == "broken_json":
        text = written[:-1]
    elif kind == "prose":
        text = f"Here are my 3 thoughts on the 10 passages:\n{written}\nI hope that helps!"
    elif kind == "truncated":
        text, finish = written[: len(written) // 2], "length"
    elif kind == "refusal":
        text, refusal = None, "I can't help with that."
    elif kind == "content_filter":
        text, finish = None, "content_filter"
    asked = prompt_chars // _CHARS_PER_TOKEN
    answered = len(text or refusal or "") // _CHARS_PER_TOKEN
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, "refusal": refusal},
            }
        ],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
        },
    }


def _spoil_entries(entries: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Faults inside the list; they hit the first entry."""
    if not entries:
        return entries
    first, rest = entries[0], entries[1:]
    if kind == "missing":
        return rest
    if kind == "invented":
        return [{**first, "id": "zzzz9"}, *rest]
    if kind == "duplicate":
        return [first, *rest, {**first, "grade": (first["grade"] + 1) % 4}]
    if kind == "wrong_type":
        return [{**each, "grade": str(each["grade"])} for each in entries]
    if kind == "out_of_range":
        return [{**first, "grade": 7}, *rest]
    return entries
