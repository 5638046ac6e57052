"""How much of a training is kept: as far towards the trained weights as dev queries bear out.

Few or wrong labels can make a model worse. So the weights are drawn back towards the base model's,
base + share · (trained − base), as models that were fine-tuned from one another can be averaged
(M. Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022), and the share is chosen on
dev queries that were never learnt from. 0 is among the choices: "do nothing" is an answer.

A dev query is measured by how its graded chunks are ordered among themselves (nDCG of the condensed
list; T. Sakai, SIGIR 2007). Ungraded chunks that the trained model brings up count neither way: the
dev labels know only what the incumbent found.

Dev examples take grades at their word, beliefs being 1. Real beliefs come from the incumbent's
ranking and punish whoever leaves it. And a difference between two orders of one list needs no
correction for the grader's errors: (flag − f) / (t − f) is unbiased for relevance (N. Natarajan et
al., Learning with noisy labels, NIPS 2013), f is worth the same in every order, and 1 / (t − f)
changes no sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ragwheel.models.encoder import TextEncoder, Vectors
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus

if TYPE_CHECKING:
    import torch

_SHARES: Final = (1.0, 0.5, 0.25)
#: Shares within so many standard errors of the best one are equal to it (L. Breiman et al.,
#: Classification and Regression Trees, 1984), and the largest of them is taken: a part of a
#: training that helps helps less.
_ERRORS: Final = 1.0
_FEWEST: Final = 5
Weights = dict[str, "torch.Tensor"]


def weights_of(encoder: TextEncoder) -> Weights:
    """A copy of the weights, to come back to."""
    return {name: each.detach().clone() for name, each in encoder.model.state_dict().items()}


def keep_what_dev_bears_out(
    encoder: TextEncoder,
    base: Mapping[str, torch.Tensor],
    dev: Sequence[TrainingExample],
    corpus: Corpus,
    documents: Vectors,
) -> float:
    """Set the weights of `encoder`, which was trained from `base`; return the share that is kept.

    The largest share whose gain cannot be told from the best; 0 where no gain is positive, and
    where fewer than five dev queries can tell.
    """
    dev = [each for each in dev if each.positives and each.negatives]
    trained = weights_of(encoder)
    if len(dev) < _FEWEST:
        _set(encoder, base, trained, 0.0)
        return 0.0
    figures = {}
    for share in (0.0, *_SHARES):
        _set(encoder, base, trained, share)
        vectors = encoder.encode([each.query for each in dev], "query")
        figures[share] = np.array(
            [
                graded_order(example, vector, corpus, documents)
                for example, vector in zip(dev, vectors, strict=True)
            ]
        )
    gains = {share: figures[share] - figures[0.0] for share in _SHARES}
    best = max(gains.values(), key=np.mean)
    least = best.mean() - _ERRORS * best.std(ddof=1) / np.sqrt(len(best))
    kept = max((share for share in _SHARES if gains[share].mean() > max(0.0, least)), default=0.0)
    _set(encoder, base, trained, kept)
    return kept


def _set(
    encoder: TextEncoder,
    base: Mapping[str, torch.Tensor],
    trained: Mapping[str, torch.Tensor],
    share: float,
) -> None:
    import torch

    encoder.model.load_state_dict(
        {
            name: torch.lerp(base[name], each, share) if each.is_floating_point() else each
            for name, each in trained.items()
        }
    )


def graded_order(
    example: TrainingExample, query: npt.NDArray[np.float32], corpus: Corpus, documents: Vectors
) -> float:
    """nDCG of the graded chunks of a query among themselves; expected where beliefs are not 1."""
    chunks = [*(each.chunk_hash for each in example.positives), *example.negatives]
    rows = [corpus.row_of(example.segment, chunk) for chunk in chunks]
    gains = np.zeros(len(chunks))
    gains[: len(example.positives)] = [
        each.belief * (2.0**each.grade - 1.0) for each in example.positives
    ]
    scores = documents[np.array(rows, np.intp)] @ query
    discount = 1.0 / np.log2(np.arange(2, len(chunks) + 2))
    # Equal scores are ranked worst first: a model that tells nothing apart gains nothing.
    found = gains[np.lexsort((gains, -scores))]
    return float((found @ discount) / (-np.sort(-gains) @ discount))
