"""What the three reranking APIs have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ragwheel.serving.answering import reranker_of
from ragwheel.serving.asking import ALIAS
from ragwheel.serving.contracts import InService, Reranker
from ragwheel.serving.refusals import Refusal


def best_first(scores: Sequence[float], top_n: int | None = None) -> list[int]:
    """Indices by falling score, equal ones in their order; the first `top_n`, or all."""
    return sorted(range(len(scores)), key=lambda index: -scores[index])[:top_n]


def require_reranker_name(generation: InService, model: str) -> Reranker:
    """The reranker that serves, if `model` names it.

    Raises:
        Refusal: 404; there is none, or another.
    """
    reranker = reranker_of(generation)
    if model not in (ALIAS, reranker.name):
        raise Refusal(
            404,
            f"model: {model!r} does not rerank here; there are {ALIAS}, {reranker.name}",
            param="model",
            code="model_not_found",
        )
    return reranker
