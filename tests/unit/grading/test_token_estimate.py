"""Estimated tokens, against what real tokenizers count."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ragwheel.grading.asking.token_estimate import count_tokens, cut_at

#: Counted by o200k (GPT-4o and later), cl100k (GPT-4), Llama 3 and Qwen 3.
_COUNTED: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("token_counts.json").read_text("utf-8")
)
_BY_KIND = {each["kind"]: each for each in _COUNTED}
_EAST_ASIAN = (
    "chinese", "chinese traditional", "classical chinese", "japanese", "katakana", "korean",
)  # fmt: skip


@pytest.mark.parametrize("kind", _EAST_ASIAN)
def test_east_asian_text_is_never_undercounted(kind: str) -> None:
    counted = _BY_KIND[kind]
    most = max(counted[each] for each in ("o200k", "cl100k", "llama3", "qwen3"))
    assert count_tokens(counted["text"]) >= most


def test_rare_characters_are_undercounted_by_the_oldest_vocabulary_alone() -> None:
    counted = _BY_KIND["chinese rare"]
    found = count_tokens(counted["text"])
    assert found >= max(counted[each] for each in ("o200k", "llama3", "qwen3"))
    assert found >= 0.8 * counted["cl100k"]


@pytest.mark.parametrize("kind", _BY_KIND)
def test_no_kind_of_text_is_below_the_vocabulary_of_today(kind: str) -> None:
    assert count_tokens(_BY_KIND[kind]["text"]) >= _BY_KIND[kind]["o200k"]


@pytest.mark.parametrize("kind", ["english", "code", "json", "markdown table", "identifiers"])
def test_english_and_code_are_at_most_a_third_too_high(kind: str) -> None:
    counted = _BY_KIND[kind]
    assert counted["o200k"] <= count_tokens(counted["text"]) <= 1.34 * counted["o200k"]


def test_what_is_cut_is_within_its_limit_and_no_more_would_be() -> None:
    dice = random.Random(3)
    for each in _COUNTED:
        text = each["text"] * 2
        for limit in (0, 1, *(dice.randint(2, count_tokens(text)) for _ in range(20))):
            end = cut_at(text, limit)
            assert count_tokens(text[:end]) <= limit
            assert end == len(text) or count_tokens(text[: end + 5]) > limit
        assert cut_at(text, count_tokens(text)) == len(text)
