"""How wrong a grader is, per segment and rubric epoch, and what follows of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ragwheel.measuring import noise

#: Rounds in which f follows the pairs. Few: with many it would leave what decoys measured.
_ROUNDS: Final = 4
#: Fewer decoys measure nothing: the tail of the ranking is asked instead.
_ENOUGH_DECOYS: Final = 30
#: What the tail is worth, in decoys, and what nobody measured of t: the value and its worth.
_TAIL_PAIRS: Final = 100.0
_TRUE_RATE, _TRUE_RATE_PAIRS = 0.9, 20.0
#: Share of a grader's errors that it repeats when it is asked again about the same pair, as it is
#: believed to be before second looks say more, and what that is worth in looks.
_REPEATED, _REPEATED_LOOKS = 0.3, 50.0


class GradedEvidence(Protocol):
    """The grade of a pair that counts, and how sure its graders were."""

    @property
    def query_hash(self) -> str:
        """Of the query."""

    @property
    def chunk_hash(self) -> str:
        """Of the chunk."""

    @property
    def grade(self) -> int:
        """0-3."""

    @property
    def epoch(self) -> str:
        """Rubric version of the grade."""

    @property
    def source(self) -> str:
        """`llm`, `person` or `synthetic`."""

    @property
    def looks(self) -> int:
        """How often the pair was graded."""

    @property
    def agreement(self) -> float:
        """Share of the looks that agree with the grade about relevance, 0-1."""


class Checked(NamedTuple):
    """What the grader said of a pair whose relevance is known without it.

    Attributes:
        relevant: False for a decoy; what people said or made otherwise.
        flagged: whether the grader called it relevant.
    """

    segment: str
    epoch: str
    relevant: bool
    flagged: bool


@dataclass(frozen=True, slots=True)
class GraderNoise:
    """How wrong the grader is about one segment under one rubric epoch.

    Attributes:
        decoys: how many measured f; `flagged_decoys` of them were called relevant.
        false_rate: f with its 95 % interval by decoys (the tail where there are none).
        used: f in use, refined on the pairs.
        true_rate: t, from `known_positives` pairs and a common belief of 0.9.
        flags: pairs that were called relevant.
        true_flags: how many of them are believed to be.
    """

    segment: str
    epoch: str
    decoys: int
    flagged_decoys: int
    false_rate: tuple[float, float, float]
    used: float
    known_positives: int
    true_rate: tuple[float, float, float]
    flags: int
    true_flags: float


@dataclass(frozen=True, slots=True)
class NoiseReport:
    """What a person needs to trust the beliefs, or not.

    Attributes:
        measured_by: `decoys`, or `tail` where there were too few; the tail misleads where most
            graded pairs are relevant.
        reliability: P(flagged) as predicted without the pair's query, and what happened.
        calibration_error: their mean distance.
    """

    groups: tuple[GraderNoise, ...]
    measured_by: str
    reliability: tuple[noise.ReliabilityBin, ...]
    calibration_error: float

    def figures(self) -> dict[str, dict[str, float]]:
        """f, t, flags and the share of them that is false; of all as `*`, else `segment epoch`.

        Rates of all are means over flags.
        """
        flags = max(1, sum(each.flags for each in self.groups))
        overall = {
            "false_rate": sum(each.used * each.flags for each in self.groups) / flags,
            "true_rate": sum(each.true_rate[0] * each.flags for each in self.groups) / flags,
            "flags": float(sum(each.flags for each in self.groups)),
            "false_share": 1.0 - sum(each.true_flags for each in self.groups) / flags,
        }
        return {"*": overall} | {
            f"{each.segment} {each.epoch}": {
                "false_rate": each.used,
                "true_rate": each.true_rate[0],
                "flags": float(each.flags),
                "false_share": 1.0 - each.true_flags / max(1, each.flags),
            }
            for each in self.groups
        }


class GraderModel:
    """f and t per group of (segment, epoch), and the prior that goes with them."""

    def __init__(self, group_of: Sequence[tuple[str, str]], checked: Iterable[Checked]) -> None:
        counts = Counter(checked)
        named = {(each.segment, each.epoch) for each in counts}
        self.groups = sorted({*group_of} | named)
        index = {group: at for at, group in enumerate(self.groups)}
        self.group = np.array([index[each] for each in group_of], np.intp)
        self.tried, self.hits = np.zeros((2, len(index))), np.zeros((2, len(index)))
        for each, count in counts.items():
            at = int(each.relevant), index[each.segment, each.epoch]
            self.tried[at] += count
            self.hits[at] += count * each.flagged

    def run(
        self,
        features: noise.PairValues,
        kept: Sequence[GradedEvidence],
        flagged: noise.PairValues,
        query: npt.NDArray[np.intp],
    ) -> tuple[noise.PairValues, NoiseReport]:
        has_decoys = bool(self.tried[0].sum() >= _ENOUGH_DECOYS)
        before = (0.0, 0.0) if has_decoys else (noise.tail_rate(features, flagged), _TAIL_PAIRS)
        measured = noise.shared_rates(self.hits[0], self.tried[0], *before)
        true = noise.shared_rates(self.hits[1], self.tried[1], _TRUE_RATE, _TRUE_RATE_PAIRS)
        said = _looks(kept, flagged, true.value[self.group])
        used = measured.value
        weights: noise.PairValues | None = None
        repeats = _REPEATED
        for _ in range(_ROUNDS):
            said = replace(said, false_rate=_below(used, true.value)[self.group])
            weights = noise.fit_prior(features, said, repeats, weights)
            prior = noise.prior_of(features, weights)
            repeats = noise.repeated_share(prior, said, _REPEATED, _REPEATED_LOOKS)
            belief = noise.posterior(prior, said.ratio(repeats), said.known)
            wrong = np.bincount(self.group, (1 - belief) * flagged, len(self.groups))
            right = np.bincount(self.group, 1 - belief, len(self.groups))
            used = noise.shared_rates(self.hits[0] + wrong, self.tried[0] + right, *before).value
        bins = noise.reliability(_flags_foreseen(features, said, query, repeats, weights), flagged)
        report = NoiseReport(
            self._report(measured, used, true, flagged, belief),
            "decoys" if has_decoys else "tail", bins, noise.calibration_error(bins),
        )  # fmt: skip
        return belief, report

    def _report(
        self,
        measured: noise.Rates,
        used: noise.PairValues,
        true: noise.Rates,
        flagged: noise.PairValues,
        belief: noise.PairValues,
    ) -> tuple[GraderNoise, ...]:
        flags = np.bincount(self.group, flagged, len(self.groups))
        believed = np.bincount(self.group, flagged * belief, len(self.groups))
        return tuple(
            GraderNoise(
                segment, epoch, int(self.tried[0, at]), int(self.hits[0, at]),
                _interval(measured, at), float(used[at]),
                int(self.tried[1, at]), _interval(true, at), int(flags[at]), float(believed[at]),
            )
            for at, (segment, epoch) in enumerate(self.groups)
        )  # fmt: skip


def _looks(
    kept: Sequence[GradedEvidence], flagged: noise.PairValues, true_rate: noise.PairValues
) -> noise.Looks:
    looks = np.array([each.looks for each in kept], np.float64)
    agreed = np.round(looks * np.array([each.agreement for each in kept]))
    is_known = np.array([each.source != "llm" for each in kept])
    return noise.Looks(
        flags=np.where(flagged == 1, agreed, looks - agreed),
        looks=looks,
        false_rate=np.zeros(len(kept)),
        true_rate=true_rate,
        known=np.where(is_known, flagged, np.nan),
    )


def _below(false_rate: noise.PairValues, true_rate: noise.PairValues) -> noise.PairValues:
    """A flag never speaks against relevance, however bad the grader."""
    return np.asarray(np.minimum(false_rate, 0.95 * true_rate), np.float64)


def _flags_foreseen(
    features: noise.PairValues,
    said: noise.Looks,
    query: npt.NDArray[np.intp],
    repeats: float,
    start: noise.PairValues | None,
) -> noise.PairValues:
    """P(flagged) of each pair by a prior that was fitted on the other half of the queries."""
    of_half = np.unique(query, return_inverse=True)[1] % 2
    prior = np.empty(len(query))
    for half in (0, 1):
        here = of_half == half
        # Of a single query there is no other half.
        learnt = ~here if (~here).any() else here
        weights = noise.fit_prior(features[learnt], said.part(learnt), repeats, start)
        prior[here] = noise.prior_of(features[here], weights)
    return prior * said.true_rate + (1 - prior) * said.false_rate


def _interval(rates: noise.Rates, at: int) -> tuple[float, float, float]:
    return float(rates.value[at]), float(rates.low[at]), float(rates.high[at])
