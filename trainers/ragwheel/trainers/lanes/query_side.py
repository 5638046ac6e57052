"""The query-side lane: train the query encoder against the cached vectors of the documents.

A training is a function of (snapshot, base model, configuration, seed). Nothing is embedded again:
the documents keep their vectors, so the new query encoder works on the index that is in service.
Each query is compared with the whole corpus in one softmax. That costs little, because documents
need no gradient, and it is stronger than negatives of one batch.

Loss of a query with scores s = scale · cosine: cross-entropy between softmax(s + log w) and the
positives, each weighted 2^grade - 1. The weight w is `hard_negative_weight` for chunks that were
shown and graded 0, zero for ignored ones, and 1 for everything else.

Dropout is off (the model stays in evaluation mode): with a few passes over few data it cost quality
and 9 % of the time. docs/training.md has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ragwheel.models.encoder import Progress, TextEncoder, Vectors, mixed_precision
from ragwheel.models.manifest import TrainConfig
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus

if TYPE_CHECKING:
    import torch

LANE = "query"
#: Batches are formed by length within this many of them, then shuffled.
_BATCHES_PER_BUCKET = 8
_EXCLUDED = -1e4


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """How a training went.

    Attributes:
        first_loss: mean over the first epoch.
        last_loss: mean over the last epoch.
    """

    steps: int
    first_loss: float
    last_loss: float


def train_query_side(
    encoder: TextEncoder,
    examples: Sequence[TrainingExample],
    corpus: Corpus,
    documents: Vectors,
    config: TrainConfig,
    seed: int,
    progress: Progress | None = None,
) -> TrainingSummary:
    """Train `encoder` in place.

    Args:
        examples: at least one; positives must be in `corpus`.
        documents: vectors of `corpus.texts` by the encoder that serves the documents.

    Returns:
        The summary; deterministic on one machine for equal arguments.
    """
    import torch

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    columns = _softmax_columns(examples, corpus, config.background_chunks, random)
    position = {corpus.chunk_hashes[index]: column for column, index in enumerate(columns)}
    device = encoder.model.device
    table = torch.from_numpy(documents[columns]).to(device)
    model = encoder.model
    model.eval()
    parameters = [each for each in model.parameters() if each.requires_grad]
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
            weights, bias = _targets(batch, position, len(columns), config.hard_negative_weight)
            queries = encoder.embed([example.query for example in batch], "query")
            with mixed_precision(device.type):
                scores = queries @ table.T
            logits = config.similarity_scale * scores.float() + bias.to(device)
            log_probability = torch.log_softmax(logits, dim=1)
            loss = -(weights.to(device) * log_probability).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it unannotated
            torch.nn.utils.clip_grad_norm_(parameters, config.max_gradient_norm)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
            if progress is not None:
                progress(len(losses), steps)
    per_epoch = max(1, len(losses) // config.epochs)
    first, last = np.mean(losses[:per_epoch]), np.mean(losses[-per_epoch:])
    return TrainingSummary(len(losses), float(first), float(last))


def library_versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    names = ("torch", "sentence-transformers", "transformers", "numpy")
    return {name: version(name) for name in names}


def _softmax_columns(
    examples: Sequence[TrainingExample], corpus: Corpus, limit: int, random: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Corpus rows of the softmax: all of them, or those that examples name plus a sample."""
    rows = np.arange(len(corpus.chunk_hashes))
    if len(rows) <= limit:
        return rows
    named = {chunk for each in examples for chunk, _ in each.positives}
    named |= {chunk for each in examples for chunk in (*each.negatives, *each.ignored)}
    is_named = np.array([chunk in named for chunk in corpus.chunk_hashes])
    background = rows[~is_named]
    drawn = random.choice(background, min(limit, len(background)), replace=False)
    return np.sort(np.concatenate([rows[is_named], drawn]))


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


def _targets(
    batch: Sequence[TrainingExample], position: Mapping[str, int], columns: int, hard_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and bias of a batch: rows are queries, columns are chunks of the softmax."""
    import torch

    weights = torch.zeros(len(batch), columns)
    bias = torch.zeros(len(batch), columns)
    for row, example in enumerate(batch):
        for chunk, grade in example.positives:
            weights[row, position[chunk]] = 2.0**grade - 1.0
        bias[row, [position[chunk] for chunk in example.negatives]] = math.log(hard_weight)
        bias[row, [position[chunk] for chunk in example.ignored]] = _EXCLUDED
    return weights / weights.sum(dim=1, keepdim=True), bias


def _linear(steps: int, warmup_share: float) -> Callable[[int], float]:
    """Factor of the learning rate: linear up, then linear down to zero."""
    warmup = max(1, round(warmup_share * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return factor
