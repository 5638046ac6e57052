"""Reading the grader's prompt and writing the answer, right or faulty. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ragwheel.stack.llm.faults import Fault

#: The code may be missing: the attack suite leaves it out to see what it changes.
_QUERY = re.compile(r"<query(?P<nonce>(?: \w+)?)>\n(?P<text>.*?)\n</query(?P=nonce)>", re.DOTALL)
_CHARS_PER_TOKEN = 4
_TOKEN = re.compile(r'(?<="grade":)(?P<grade>[0-9])|(?:(?!(?<="grade":)[0-9]).)+', re.DOTALL)
_TOP_GRADE = 3
_SURE = 0.9


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
        rf'<passage{query["nonce"]} id="(\w+)">\n(.*?)\n</passage{query["nonce"]}>', re.DOTALL
    )
    return AskedPassages(query["text"], dict(passage.findall(user, query.end())))


def completion(
    number: int,
    model: str,
    prompt_chars: int,
    grades: Mapping[str, int],
    fault: Fault | None,
    *,
    logprobs: bool = False,
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
    asked = token_count(prompt_chars)
    answered = token_count(len(text or refusal or ""))
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
                "logprobs": {"content": _logprobs(text)} if logprobs and text else None,
            }
        ],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
        },
    }


def token_count(chars: int) -> int:
    """Tokens of a text of that length, as this server counts them."""
    return chars // _CHARS_PER_TOKEN


def _logprobs(text: str) -> list[dict[str, Any]]:
    """One entry per token; tokens are single digits and the runs of other characters between.

    The model is sure of the form and 90 % sure of a grade; its neighbours share the rest.
    """
    return [
        _token(each.group(), _grade_odds(int(each.group())) if each["grade"] else {})
        for each in _TOKEN.finditer(text)
    ]


def _token(token: str, odds: Mapping[str, float]) -> dict[str, Any]:
    top = [
        {"token": other, "logprob": math.log(share), "bytes": list(other.encode())}
        for other, share in (odds or {token: 1.0}).items()
    ]
    return {**top[0], "top_logprobs": top}


def _grade_odds(grade: int) -> dict[str, float]:
    near = [each for each in (grade - 1, grade + 1) if 0 <= each <= _TOP_GRADE]
    return {str(grade): _SURE, **{str(each): (1 - _SURE) / len(near) for each in near or [0]}}


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
