"""How many tokens a text is, before any model has counted: for packing, cutting and prices. Pure.

An estimate, because models have vocabularies of their own and no package brings them in a form
worth depending on (docs/decisions/0038-tokens-are-estimated.md). It leans to the high side, and for
Chinese, Japanese and Korean it is meant never to be below: a call that overruns a small context
is lost whole. Equal texts give equal counts in every process, so a replay packs the same calls.
tests/unit/grading/token_counts.json holds what real tokenizers made of texts in many scripts.
"""

from __future__ import annotations

import re

#: A match is a piece that costs a token or more; the blank before a word costs nothing. Characters
#: of different kinds never share a piece, as in the pre-tokenizers of GPT, Llama and Qwen.
_PIECE = re.compile(
    r"[A-Za-z]{1,5}"
    r"|[0-9]{1,3}"
    r"|[!-/:-@\[-`{-~]{1,2}"
    r"|[^\S ]\s{0,15}| \s{1,15}"
    r"|[\u0400-\u052f]{1,2}"  # Cyrillic
    r"|[^\x00-\x7f]"
)
#: Alphabets, and Japanese syllables: a token for each character.
_ONE = re.compile(r"[\u00c0-\u1fff\u3000-\u30ff\uff00-\uffef\s]")
#: Han and Hangul: half of that for the common ones, but not for rare ones.
_TWO = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


def count_tokens(text: str) -> int:
    """About how many tokens `text` is."""
    pieces = _PIECE.findall(text)
    return len(pieces) if text.isascii() else sum(map(_tokens, pieces))


def cut_at(text: str, limit: int) -> int:
    """How many characters of `text` are at most `limit` tokens; all of them if it is short."""
    total = 0
    for piece in _PIECE.finditer(text):
        total += _tokens(piece.group())
        if total > limit:
            return piece.start()
    return len(text)


def _tokens(piece: str) -> int:
    """Of one piece; a byte-level vocabulary never needs more than a token for a byte."""
    if piece.isascii() or _ONE.match(piece):
        return 1
    return 2 if _TWO.match(piece) else len(piece.encode("utf-8", "surrogatepass"))
