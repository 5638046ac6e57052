"""Near-duplicate queries: which earlier queries ask what a later one asks. Pure.

Two queries are near-duplicates if any of three looks says so:

- *form*: equal after case, punctuation, word order and stop words are taken away;
- *shingles*: Jaccard similarity of their character 4-grams of at least `NEAR_SHINGLES`. Exact: two
  sets that are so similar share one of the rarest members of both, and only such pairs are compared
  (prefix filtering: Chaudhuri, Ganti, Kaushik, ICDE 2006; Xiao et al., WWW 2008);
- *embedding*: cosine of the base model's query vectors of at least `NEAR_COSINE`.

Time grows with the square of the queries (a product of matrices), memory with their number alone:
pairs are given out block by block.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ragwheel.models.encoder import Vectors

#: Both limits are the lowest of a coarse grid that joins (almost) no two of 125 different questions
#: of an FAQ set in ten paraphrases each, checked on 5,000 sentences about different functions
#: (docs/decisions/0021-sides-of-queries.md).
NEAR_COSINE = 0.90
NEAR_SHINGLES = 0.70
_CHARACTERS = 4
_COLUMNS_AT_ONCE = 8_192
_CANDIDATES_AT_ONCE = 1_000_000
_VERIFIED_AT_ONCE = 100_000
#: 64-bit words of a sketch: one bit for each value of the first byte of a name.
_SKETCH_WORDS = 4

_TOKEN = re.compile(r"[^\W_]+[+#]*")
#: Words that do not change what is asked. Negations and question words that choose the kind of an
#: answer (who, when, where, why) are none.
_STOP_WORDS = frozenset({
    "a", "an", "the", "of", "to", "in", "on", "for", "at", "by", "with", "is", "are", "was", "were",
    "be", "do", "does", "did", "i", "me", "my", "we", "our", "you", "your", "it", "its", "this",
    "that", "these", "there", "please", "can", "could", "would", "should", "how",
})  # fmt: skip

Indices = npt.NDArray[np.int64]


class NearPairs(NamedTuple):
    """Pairs of near-duplicates, `earlier` < `later`.

    Attributes:
        closeness: 0 at the limit of the look that found the pair, 1 where both are equal to it.
    """

    later: Indices
    earlier: Indices
    closeness: npt.NDArray[np.float64]


def normal_form(text: str) -> str:
    """What is left of a query when its spelling is taken away: its words, each once, sorted."""
    words = _words(text)
    return " ".join(sorted(set(words) - _STOP_WORDS or set(words))) or text.strip()


class Neighbours:
    """Finds near-duplicates among queries, by shingles and by embedding."""

    def __init__(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Index the queries.

        Args:
            vectors: one unit row per text; a row that is not finite is near to nothing.
        """
        if len(texts) != len(vectors):
            raise ValueError(f"{len(texts)} queries and {len(vectors)} vectors: one vector each")
        self._vectors = vectors
        self._shingles = _Shingles(texts)

    def before(self, start: int, stop: int) -> Iterator[NearPairs]:
        """All pairs whose later query is one of `start` … `stop` - 1, in blocks of bounded size.

        A pair that both looks find is given out twice.
        """
        yield from self._shingles.before(start, stop)
        block = self._vectors[start:stop]
        later = np.arange(start, stop)
        for column in range(0, stop, _COLUMNS_AT_ONCE):
            earlier = np.arange(column, min(column + _COLUMNS_AT_ONCE, stop))
            cosines = block @ self._vectors[earlier[0] : earlier[-1] + 1].T
            near = cosines >= NEAR_COSINE
            if earlier[-1] >= start:
                near &= earlier < later[:, None]
            row, found = np.nonzero(near)
            closeness = (cosines[row, found].astype(np.float64) - NEAR_COSINE) / (1 - NEAR_COSINE)
            yield NearPairs(later[row], earlier[found], closeness.clip(0, 1))


class _Shingles:
    """Sets of character n-grams and an index of the rarest members of each."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        text_of, gram = _grams([f" {' '.join(_words(text))} " for text in texts])
        _, member, spread = np.unique(gram, return_inverse=True, return_counts=True)
        # Members are numbered from the rarest to the most common one.
        rank = np.empty(len(spread), np.int64)
        rank[np.argsort(spread, kind="stable")] = np.arange(len(spread))
        member = rank[member]
        order = np.lexsort((member, text_of))
        text_of, member = text_of[order], member[order]
        self._sizes = np.bincount(text_of, minlength=self._count)
        starts = np.concatenate([[0], np.cumsum(self._sizes)])
        self._sets = csr_matrix(
            (np.ones(len(member), np.float32), member, starts), (self._count, len(spread))
        )
        self._sketch = np.zeros((self._count, _SKETCH_WORDS), np.uint64)
        bit = gram[order] >> np.uint64(56)
        np.bitwise_or.at(
            self._sketch, (text_of, bit // np.uint64(64)), np.uint64(1) << bit % np.uint64(64)
        )
        prefix = self._sizes - np.ceil(NEAR_SHINGLES * self._sizes - 1e-9).astype(np.int64) + 1
        rare = np.arange(len(member)) - starts[text_of] < prefix[text_of]
        self._of_text, self._member = text_of[rare], member[rare]
        self._starts = np.concatenate(
            [[0], np.cumsum(np.bincount(self._of_text, minlength=self._count))]
        )
        self._index = np.sort(self._member * self._count + self._of_text)

    def before(self, start: int, stop: int) -> Iterator[NearPairs]:
        """All pairs with a later text of `start` … `stop` - 1."""
        rare = slice(self._starts[start], self._starts[stop])
        later, key = self._of_text[rare], self._member[rare] * self._count
        first = np.searchsorted(self._index, key)
        length = np.searchsorted(self._index, key + later) - first
        reached = np.cumsum(length)
        while len(length):
            done = reached[0] - length[0]
            cut = max(1, int(np.searchsorted(reached, done + _CANDIDATES_AT_ONCE, "right")))
            many = length[:cut]
            at = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
            earlier = self._index[np.repeat(first[:cut], many) + at] % max(1, self._count)
            yield from self._verified(np.repeat(later[:cut], many), earlier)
            first, length, later, reached = first[cut:], length[cut:], later[cut:], reached[cut:]

    def _verified(self, later: Indices, earlier: Indices) -> Iterator[NearPairs]:
        """The candidates that are near, each once."""
        # Each bit in which two sketches differ is a member that only one of both sets has, and a
        # bound on the similarity is a bound on the number of those.
        allowed = (self._sizes[later] + self._sizes[earlier]) * (1 - NEAR_SHINGLES)
        differing = np.bitwise_count(self._sketch[later] ^ self._sketch[earlier]).sum(axis=1)
        possible = differing * (1 + NEAR_SHINGLES) <= allowed + 1e-9
        pairs = np.sort(later[possible] * self._count + earlier[possible])
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        later, earlier = pairs // max(1, self._count), pairs % max(1, self._count)
        for at in range(0, len(later), _VERIFIED_AT_ONCE):
            a, b = later[at : at + _VERIFIED_AT_ONCE], earlier[at : at + _VERIFIED_AT_ONCE]
            shared = np.asarray(self._sets[a].multiply(self._sets[b]).sum(axis=1)).ravel()
            jaccard = shared / (self._sizes[a] + self._sizes[b] - shared)
            near = jaccard >= NEAR_SHINGLES
            closeness = (jaccard[near] - NEAR_SHINGLES) / (1 - NEAR_SHINGLES)
            yield NearPairs(a[near], b[near], closeness.astype(np.float64))


def _words(text: str) -> list[str]:
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def _grams(texts: Sequence[str]) -> tuple[Indices, npt.NDArray[np.uint64]]:
    """Text number and 64-bit name of each n-gram that a text has, each once."""
    lengths = np.fromiter((len(text) for text in texts), np.int64, len(texts))
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), "<u4")
    text_of = np.repeat(np.arange(len(texts)), lengths)
    whole = max(0, len(points) - _CHARACTERS + 1)
    name = np.zeros(whole, np.uint64)
    for offset in range(_CHARACTERS):
        name = name * np.uint64(0x9E3779B97F4A7C15) + points[offset : offset + whole]
    inside = text_of[:whole] == text_of[_CHARACTERS - 1 :]
    text_of, name = text_of[:whole][inside], name[inside]
    order = np.lexsort((name, text_of))
    text_of, name = text_of[order], name[order]
    new = np.ones(len(name), bool)
    new[1:] = (text_of[1:] != text_of[:-1]) | (name[1:] != name[:-1])
    return text_of[new], name[new]
