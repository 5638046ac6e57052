"""The noise model: what it recovers, how far it can be believed, and where it is misled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ragwheel.measuring import noise
from ragwheel.measuring.noise import Looks, PairValues

QUERIES, DEPTH = 1_500, 20


class Graded:
    """Queries whose relevant chunks stand high in a ranking, and what a grader said of them."""

    def __init__(self, rate: float, right: float = 1.0, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.random = random
        rank = np.tile(np.arange(1.0, DEPTH + 1), QUERIES)
        score = random.normal(size=len(rank)) - 0.1 * rank
        features = np.stack([score, np.log(rank), 1 / rank], axis=1)
        spread = (features - features.mean(axis=0)) / features.std(axis=0)
        self.features = np.hstack([np.ones((len(rank), 1)), spread])
        slope = 2.0 * spread[:, 0] - 1.5 * spread[:, 1]
        start = float(np.linspace(-9, 9, 181)[np.argmin(self._excess(slope, right / DEPTH))])
        self.relevant = random.random(len(rank)) < 1 / (1 + np.exp(-slope - start))
        self.said = self._asked(rate)

    @staticmethod
    def _excess(slope: PairValues, share: float) -> PairValues:
        starts = np.linspace(-9, 9, 181)
        found = [abs((1 / (1 + np.exp(-slope - each))).mean() - share) for each in starts]
        return np.array(found)

    def _asked(self, rate: float) -> Looks:
        flags = np.where(
            self.random.random(len(self.relevant)) < rate, ~self.relevant, self.relevant
        )
        same = np.ones(len(flags))
        return Looks(
            flags.astype(float), same, rate * same, (1 - rate) * same, np.full(len(flags), np.nan)
        )

    def believed(self, said: Looks, repeats: float = 0.0) -> PairValues:
        prior = noise.prior_of(self.features, noise.fit_prior(self.features, said, repeats))
        return noise.posterior(prior, said.ratio(repeats), said.known)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.2])
@pytest.mark.parametrize("right", [1.0, 4.0, 14.0])
def test_beliefs_in_flags_are_calibrated_and_better_than_believing_all(
    rate: float, right: float
) -> None:
    graded = Graded(rate, right)
    flagged = graded.said.flags == 1
    believed, relevant = graded.believed(graded.said)[flagged], graded.relevant[flagged]
    found = noise.reliability(believed, relevant.astype(float))
    assert noise.calibration_error(found) < 0.05
    assert ((believed - relevant) ** 2).mean() < 0.9 * (1 - relevant.mean())


def test_one_right_chunk_of_twenty_survives_a_tenth_of_wrong_grades() -> None:
    graded = Graded(0.1)
    flagged = graded.said.flags == 1
    kept = flagged & (graded.believed(graded.said) >= 0.5)
    assert graded.relevant[flagged].mean() < 0.4
    assert graded.relevant[kept].mean() > 0.7


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.2])
def test_decoys_recover_the_false_positive_rate(rate: float) -> None:
    flagged = np.random.default_rng(4).random((6, 300)) < rate
    found = noise.shared_rates(flagged.sum(axis=1).astype(float), np.full(6, 300.0))
    assert found.value == pytest.approx(np.full(6, rate), abs=0.02)
    assert (found.low < rate).all()
    assert (rate < found.high).all()


def test_a_grader_that_is_wrong_about_one_kind_of_query_is_found_there() -> None:
    hits, tried = np.array([3.0, 5.0, 90.0, 0.0, 1.0]), np.array([150.0, 160.0, 300.0, 0.0, 8.0])
    found = noise.shared_rates(hits, tried)
    assert found.value[2] == pytest.approx(0.3, abs=0.02)
    assert found.value[:2] == pytest.approx([0.03, 0.03], abs=0.02)
    # Nothing tried: the share of all. One of eight: drawn from .125 towards it, little known.
    assert found.value[3] == pytest.approx(99 / 618, abs=0.02)
    assert found.high[4] - found.low[4] > 0.2


def test_equal_groups_are_pooled() -> None:
    found = noise.shared_rates(np.array([10.0, 12.0, 0.0]), np.array([100.0, 120.0, 10.0]))
    assert found.value[2] == pytest.approx(0.095, abs=0.02)


def test_what_is_believed_before_counts_as_pairs_and_fades() -> None:
    none = noise.shared_rates(np.zeros(1), np.zeros(1), prior_mean=0.9, prior_pairs=18)
    many = noise.shared_rates(np.array([700.0]), np.array([1_000.0]), 0.9, 18)
    assert none.value[0] == pytest.approx(0.88, abs=0.02)
    assert many.value[0] == pytest.approx(0.7, abs=0.01)


def test_the_tail_finds_the_rate_where_few_are_relevant_and_is_misled_where_many_are() -> None:
    few, many = Graded(0.1, 1.0), Graded(0.1, 16.0)
    assert noise.tail_rate(few.features, few.said.flags) == pytest.approx(0.1, abs=0.02)
    assert noise.tail_rate(many.features, many.said.flags) > 0.3


def test_what_people_said_is_believed_whatever_the_grader_said() -> None:
    graded = Graded(0.1)
    known = np.full(len(graded.relevant), np.nan)
    known[:100] = graded.relevant[:100]
    believed = graded.believed(replace(graded.said, known=known))
    assert (believed[:100] == graded.relevant[:100]).all()
    assert ((believed[100:] > 0) & (believed[100:] < 1)).all()


def test_a_second_look_decides_a_doubtful_flag_as_far_as_looks_are_independent() -> None:
    rates = np.full(4, 0.1), np.full(4, 0.9), np.full(4, np.nan)
    said = Looks(np.array([1.0, 2.0, 1.0, 0.0]), np.array([1.0, 2.0, 2.0, 2.0]), *rates)
    prior = np.full(4, 0.1)
    alone, confirmed, denied, never = noise.posterior(prior, said.ratio(), said.known)
    assert alone == pytest.approx(0.5)
    assert confirmed == pytest.approx(0.9)
    assert denied == pytest.approx(0.1)
    assert never < denied
    repeating = noise.posterior(prior, said.ratio(repeats=0.5), said.known)
    assert alone < repeating[1] < confirmed
    assert noise.posterior(prior, said.ratio(repeats=1.0), said.known)[1] == pytest.approx(0.5)


def asked_again(repeats: float, pairs: int, seed: int = 3) -> tuple[PairValues, Looks]:
    """Flags that got a second look by a grader with f .2 and t .9, and what was believed before."""
    random = np.random.default_rng(seed)
    prior = random.uniform(0.05, 0.5, 20 * pairs)
    rate = np.where(random.random(len(prior)) < prior, 0.9, 0.2)
    first, again = random.random((2, len(prior))) < rate
    second = np.where(random.random(len(prior)) < repeats, first, again)
    flagged = np.flatnonzero(first)[:pairs]
    looks = np.full(pairs, 2.0)
    rates = np.full(pairs, 0.2), np.full(pairs, 0.9), np.full(pairs, np.nan)
    return prior[flagged], Looks(1.0 + second[flagged], looks, *rates)


@pytest.mark.parametrize("repeats", [0.1, 0.3, 0.6, 0.9])
def test_the_share_of_repeated_errors_is_recovered_from_second_looks(repeats: float) -> None:
    prior, said = asked_again(repeats, 2_000)
    assert noise.repeated_share(prior, said, 0.3, 50.0) == pytest.approx(repeats, abs=0.08)


def test_few_second_looks_leave_what_was_believed_of_repeated_errors() -> None:
    prior, said = asked_again(0.9, 20)
    once = replace(said, looks=np.ones(20), flags=np.ones(20))
    assert noise.repeated_share(prior, once, 0.3, 50.0) == pytest.approx(0.3)
    people = replace(said, known=np.ones(20))
    assert noise.repeated_share(prior, people, 0.3, 50.0) == pytest.approx(0.3)
    assert 0.3 < noise.repeated_share(prior, said, 0.3, 50.0) < 0.75


def test_reliability_bins_hold_equally_many_pairs() -> None:
    found = noise.reliability(np.linspace(0, 1, 100), np.ones(100), bins=4)
    assert [each.pairs for each in found] == [25] * 4
    assert found[0].predicted == pytest.approx(12 / 99)
    assert noise.calibration_error(found) == pytest.approx(0.5, abs=0.01)
    assert noise.reliability(np.zeros(0), np.zeros(0)) == ()
