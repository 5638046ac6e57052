"""What makes a candidate: the contract of every lane.

A lane is called in the trainer's thread. It may take hours, tells `progress` after every step, and
leaves when `progress` raises. It is a function of its arguments: on one machine equal arguments
make equal weights, to the bit. It writes nothing; a candidate is saved by its caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ragwheel.models.encoder import Progress, TextEncoder, Vectors
from ragwheel.models.manifest import TrainConfig
from ragwheel.schemas.errors import TerminalError
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus


class TrainingFailedError(TerminalError):
    """The loss is no number any more: nothing of the training can be used."""


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """How a training went.

    Attributes:
        first_loss: mean over the first epoch.
        last_loss: mean over the last epoch.
        kept: share of the way from the base model's weights to the trained ones that was kept;
            0 when the lane found nothing that can be trusted, and the candidate is the base model.
    """

    steps: int
    first_loss: float
    last_loss: float
    kept: float = 1.0


class Lane(Protocol):
    """One way to make a candidate from labels."""

    @property
    def name(self) -> str:
        """As the manifest calls it."""

    def train(
        self,
        encoder: TextEncoder,
        examples: Sequence[TrainingExample],
        corpus: Corpus,
        documents: Vectors,
        config: TrainConfig,
        seed: int,
        progress: Progress | None = None,
        dev: Sequence[TrainingExample] | None = None,
    ) -> TrainingSummary:
        """Train `encoder`, freshly loaded from the base model, in place.

        Args:
            examples: at least one; positives must be in `corpus`.
            documents: vectors of `corpus.texts` by the encoder that serves the documents.
            dev: examples that decide how much of the training is kept; never learnt from. None
                keeps all.

        Raises:
            TrainingFailedError: the loss became NaN or infinite; names step and learning rate.
        """
