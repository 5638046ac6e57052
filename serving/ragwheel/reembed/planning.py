"""What a re-embedding is going to cost, measured on this machine.

A sample of the corpus is embedded in parts, each like a small shard. Their seconds per token say
how long the rest takes; how much they differ says how far that may be off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from ragwheel.models.encoder import Encoder

ProbeClock = Callable[[], float]
"""Seconds from some moment on."""

#: Texts of the sample, in how many parts, and the seed with which ClickHouse draws them.
SAMPLE_TEXTS, PARTS, SEED = 512, 4, 17
#: t of a 95 % interval with three degrees of freedom: four parts.
_T95 = 3.18
#: Below this nobody knows: machines have other things to do.
_LEAST_UNCERTAINTY = 0.1


@dataclass(frozen=True, slots=True)
class Probe:
    """What a sample took.

    Attributes:
        texts: in it.
        texts_per_s: of one process.
        seconds_per_token: of one process.
        uncertainty: half of the 95 % interval of a part, as a share of the mean.
    """

    texts: int
    texts_per_s: float
    seconds_per_token: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class ReembedPrice:
    """What the whole takes.

    Attributes:
        hours: with all machines.
        low, high: what it may take, hours.
        usd: what the hours cost.
    """

    hours: float
    low: float
    high: float
    usd: float


def probe(encoder: Encoder, texts: Sequence[str], clock: ProbeClock = time.perf_counter) -> Probe:
    """Embed a sample and time it.

    Raises:
        VectorError: the model cannot embed one of its texts.
    """
    if not texts:
        return Probe(0, 0.0, 0.0, 1.0)
    encoder.encode(texts[:1], "document")  # the first call of a model prepares it
    parts = [texts[at::PARTS] for at in range(min(PARTS, len(texts)))]
    per_token, seconds = [], 0.0
    for part in parts:
        began = clock()
        encoder.encode(part, "document")
        took = clock() - began
        seconds += took
        per_token.append(took / int(encoder.tokens(part).sum()))
    spread = _T95 * stdev(per_token) / mean(per_token) if len(per_token) == PARTS else 1.0
    # The mean of the parts is what the whole takes per token; it errs less than a part does.
    uncertainty = max(_LEAST_UNCERTAINTY, spread / PARTS**0.5)
    return Probe(len(texts), len(texts) / seconds, mean(per_token), uncertainty)


def price(found: Probe, tokens: int, machines: int, usd_per_hour: float) -> ReembedPrice:
    """The whole, from the sample.

    Args:
        machines: like this one, side by side.
        usd_per_hour: of one of them.
    """
    hours = tokens * found.seconds_per_token / machines / 3_600
    return ReembedPrice(
        hours, hours / (1 + found.uncertainty), hours * (1 + found.uncertainty),
        hours * machines * usd_per_hour,
    )  # fmt: skip
