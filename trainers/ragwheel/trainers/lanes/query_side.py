"""The query-side lane: train the query encoder against the cached vectors of the documents.

Nothing is embedded again: the documents keep their vectors, so the new query encoder works on the
index that is in service. Each query is compared with the whole corpus in one softmax. That costs
little, because documents need no gradient, and it is stronger than negatives of one batch.

Loss of a query with scores s = scale · cosine: cross-entropy between softmax(s + log w) and the
positives, each weighted belief · (2^grade − 1), times the weight of the query. The weight w is
`hard_negative_weight` for chunks that were shown and graded 0, zero for ignored ones, and 1 for
everything else.

Dropout is off (the model stays in evaluation mode): with a few passes over few data it cost quality
and 9 % of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from ragwheel.models.encoder import Progress, TextEncoder, Vectors, mixed_precision
from ragwheel.models.manifest import TrainConfig
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus
from ragwheel.trainers.lanes.contracts import TrainingFailedError, TrainingSummary
from ragwheel.trainers.lanes.restraint import keep_what_dev_bears_out, weights_of
from ragwheel.trainers.lanes.targets import SoftmaxTargets

if TYPE_CHECKING:
    import torch

LANE = "query"
#: Batches are formed by length within this many of them, then shuffled.
_BATCHES_PER_BUCKET = 8


def train_query_side(
    encoder: TextEncoder,
    examples: Sequence[TrainingExample],
    corpus: Corpus,
    documents: Vectors,
    config: TrainConfig,
    seed: int,
    progress: Progress | None = None,
    dev: Sequence[TrainingExample] | None = None,
) -> TrainingSummary:
    """Train `encoder` in place, as `Lane.train` says."""
    import torch

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    targets = SoftmaxTargets(examples, corpus, config, random)
    device = encoder.model.device
    table = torch.from_numpy(documents[targets.columns]).to(device)
    base = {} if dev is None else weights_of(encoder)
    parameters = [each for each in encoder.model.parameters() if each.requires_grad]
    encoder.model.eval()
    # Fused: one pass over the weights instead of a dozen, which matters as much as the forward pass
    # on short queries.
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    steps = config.epochs * math.ceil(len(examples) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _linear(steps, config.warmup_share))
    losses: list[float] = []
    for _ in range(config.epochs):
        for batch in _batches(examples, config, random):
            loss = _loss(encoder, batch, table, targets, config)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise TrainingFailedError(
                    f"the loss of step {len(losses)} of {steps} is {losses[-1]}: lower the "
                    f"learning rate, now {config.learning_rate:g}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it unannotated
            torch.nn.utils.clip_grad_norm_(parameters, config.max_gradient_norm)
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress(len(losses), steps)
    per_epoch = max(1, len(losses) // config.epochs)
    first, last = np.mean(losses[:per_epoch]), np.mean(losses[-per_epoch:])
    kept = 1.0
    if dev is not None:
        kept = keep_what_dev_bears_out(encoder, base, dev, corpus, documents)
    return TrainingSummary(len(losses), float(first), float(last), kept)


def library_versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    names = ("torch", "sentence-transformers", "transformers", "numpy")
    return {name: version(name) for name in names}


def _loss(
    encoder: TextEncoder,
    batch: Sequence[TrainingExample],
    table: torch.Tensor,
    targets: SoftmaxTargets,
    config: TrainConfig,
) -> torch.Tensor:
    import torch

    shares, bias = (torch.from_numpy(each).to(table.device) for each in targets.of(batch))
    queries = encoder.embed([example.query for example in batch], "query")
    with mixed_precision(table.device.type):
        scores = queries @ table.T
    log_probability = torch.log_softmax(config.similarity_scale * scores.float() + bias, dim=1)
    return -(shares * log_probability).sum(dim=1).mean()


def _batches(
    examples: Sequence[TrainingExample], config: TrainConfig, random: np.random.Generator
) -> list[list[TrainingExample]]:
    """Shuffle, group similar lengths within large buckets, shuffle the groups."""
    order = random.permutation(len(examples))
    bucket = config.batch_size * _BATCHES_PER_BUCKET
    groups: list[list[TrainingExample]] = []
    for start in range(0, len(order), bucket):
        members = sorted(order[start : start + bucket], key=lambda row: len(examples[row].query))
        groups += [
            [examples[row] for row in members[at : at + config.batch_size]]
            for at in range(0, len(members), config.batch_size)
        ]
    return [groups[row] for row in random.permutation(len(groups))]


def _linear(steps: int, warmup_share: float) -> Callable[[int], float]:
    """Factor of the learning rate: linear up, then linear down to zero."""
    warmup = max(1, round(warmup_share * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return factor
