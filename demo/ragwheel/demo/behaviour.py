"""What users and the answering model do with results: biased towards the top, and noisy. Pure.

The model of attention is the one of position-based click models: a result is looked at with a
probability that falls with its rank, then used if it seems useful. So feedback is *not* relevance,
and a run shows why the labels come from a grader.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

#: Results put into the prompt of the answer.
CONTEXT_SIZE = 5
_ATTENTION_DECAY = 0.7
_CITE_RELEVANT = 0.8
_CITE_IRRELEVANT = 0.04
_THUMB_RELEVANT = 0.10
_THUMB_IRRELEVANT = 0.05
_THUMB_MISTAKE = 0.08


Reaction = tuple[Literal["cited", "thumbs_up", "thumbs_down"], int | None]
"""What somebody did, and the rank of the chunk it is about; None is about the whole answer."""


def react(answer_rank: int | None, shown: int, rng: random.Random) -> Iterator[Reaction]:
    """Reactions to one search.

    Args:
        answer_rank: where the right chunk stands, 1 is the top; None when it was not retrieved.
        shown: how many results there are.
    """
    for rank in range(1, min(shown, CONTEXT_SIZE) + 1):
        attention = rank**-_ATTENTION_DECAY
        useful = _CITE_RELEVANT if rank == answer_rank else _CITE_IRRELEVANT
        if rng.random() < attention * useful:
            yield "cited", rank
    answered = answer_rank is not None and answer_rank <= CONTEXT_SIZE
    if rng.random() < (_THUMB_RELEVANT if answered else _THUMB_IRRELEVANT):
        happy = answered != (rng.random() < _THUMB_MISTAKE)
        yield "thumbs_up" if happy else "thumbs_down", None
