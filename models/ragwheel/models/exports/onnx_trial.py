"""What a copy of an encoder costs in recall and gains in speed, measured beside its source."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ragwheel.models.encoder import Side, Vectors

#: Compared besides the trial's own texts: short, long, foreign, in code, with space around it.
_TEXTS = (
    "a",
    "how do I rotate a key?",
    "  space before and behind  ",
    "Grüße aus Köln, 你好世界, привет, 🙂",
    "def parse(text: str) -> dict[str, int]:\n    return json.loads(text)\n",
    "The index is rebuilt every night, and nobody knows why. " * 40,
)
_DEPTH = 10
#: Texts that are timed, in so many rounds; the fastest of each counts, since others share the CPU.
_TIMED, _ROUNDS, _SINGLES = 128, 5, 20


class Encodes(Protocol):
    """What is compared."""

    def encode(self, texts: Sequence[str], side: Side) -> Vectors:
        """Unit vectors of `texts`, in their order."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Held-out queries and what answers them.

    Attributes:
        relevant: per query the rows of `documents` that answer it, at least one.
        other_side: exact vectors of the side that is not copied: of `documents` where queries are.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    relevant: Sequence[Sequence[int]]
    other_side: Vectors


@dataclass(frozen=True, slots=True)
class CopyMeasurement:
    """A copy beside its source in fp32 torch, on this CPU.

    Attributes:
        cosine: least one between the two vectors of a text.
        one_ms: of a single text, source and copy.
        batch_s: of `_TIMED` texts, source and copy.
        recall: at 10, of the source; None without queries.
        drop: by how much the copy's is lower, in the mean over queries.
        drop_error: half of its 95 % interval, by the normal approximation.
    """

    cosine: float
    one_ms: tuple[float, float]
    batch_s: tuple[float, float]
    queries: int
    recall: float | None = None
    drop: float = 0.0
    drop_error: float = 0.0

    def figures(self) -> dict[str, float]:
        """What decides, by name."""
        found = {
            "cosine": self.cosine,
            "speed_up_one": self.one_ms[0] / self.one_ms[1],
            "speed_up_batch": self.batch_s[0] / self.batch_s[1],
        }
        if self.recall is not None:
            found |= {"recall": self.recall, "recall_drop": self.drop}
        return found

    def __str__(self) -> str:
        figures = self.figures()
        said = (
            f"least cosine {self.cosine:.5f}; one text {self.one_ms[0]:.1f} → {self.one_ms[1]:.1f} "
            f"ms ({figures['speed_up_one']:.1f}×); in batches {figures['speed_up_batch']:.1f}× "
            "against fp32 torch on this CPU"
        )
        if self.recall is None:
            return said
        return (
            f"{said}; recall@10 {self.recall:.3f} on {self.queries:,} held-out queries, lower by "
            f"{100 * self.drop:.2f} ± {100 * self.drop_error:.2f} points"
        )


def measure(source: Encodes, copy: Encodes, side: Side, trial: Trial) -> CopyMeasurement:
    """Compare `copy` with `source` on texts of a side."""
    own = trial.queries if side == "query" else trial.documents
    texts = [*own, *_TEXTS]
    exact, copied = source.encode(texts, side), copy.encode(texts, side)
    timed = texts[:: max(1, len(texts) // _TIMED)][:_TIMED]
    one = sorted(timed, key=len)[len(timed) // 2]
    one_s = _seconds(source, copy, [[one]] * _SINGLES, side)
    batch_s = _seconds(source, copy, [timed], side)
    recall, drop, error = None, 0.0, 0.0
    if trial.queries:
        before = _recall(exact[: len(own)], side, trial)
        lost = before - _recall(copied[: len(own)], side, trial)
        recall, drop = float(before.mean()), float(lost.mean())
        error = 1.96 * float(lost.std()) / len(lost) ** 0.5
    return CopyMeasurement(
        float(np.min(np.sum(exact * copied, axis=1))),
        (1e3 * one_s[0] / _SINGLES, 1e3 * one_s[1] / _SINGLES),
        batch_s,
        len(trial.queries),
        recall,
        drop,
        error,
    )


def _recall(own: Vectors, side: Side, trial: Trial) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Share of a query's relevant documents among its first ten; of ten, if there are more."""
    queries, documents = (own, trial.other_side) if side == "query" else (trial.other_side, own)
    # At most 500 x 20,000: no need of a search in bounded memory.
    first = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :_DEPTH]
    found = [
        len({*row.tolist()} & {*wanted}) / min(_DEPTH, len({*wanted}))
        for row, wanted in zip(first, trial.relevant, strict=True)
    ]
    return np.array(found, np.float64)


def _seconds(
    source: Encodes, copy: Encodes, calls: Sequence[Sequence[str]], side: Side
) -> tuple[float, float]:
    """The fastest round of all `calls` by each, in turn: both see the same neighbours."""
    best = [float("inf"), float("inf")]
    for _ in range(_ROUNDS):
        for at, encoder in enumerate((source, copy)):
            began = time.perf_counter()
            for texts in calls:
                encoder.encode(texts, side)
            best[at] = min(best[at], time.perf_counter() - began)
    return best[0], best[1]
