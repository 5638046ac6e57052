"""What the data could prove today, and how many queries are missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ragwheel.trainers.proof.evaluation import ALL_SEGMENTS, GateQueries
from ragwheel.trainers.proof.guards import GateRules
from ragwheel.trainers.proof.power import outlook

RULES = GateRules()


def test_all_queries_and_each_segment_have_their_outlook() -> None:
    whole, few, many = outlook(GateQueries.of(["few"] * 20 + ["many"] * 480), RULES)
    assert [each.part for each in (whole, few, many)] == [ALL_SEGMENTS, "few", "many"]
    assert (whole.queries, whole.clusters) == (500, 500)
    # (1.645 + 0.842) * 0.3 / sqrt(500), and the minimum effect.
    assert whole.detectable == pytest.approx(0.0384, abs=1e-4)
    assert whole.more_queries[0.10] == 0
    assert whole.more_queries[0.03] == math.ceil((2.4865 * 0.3 / 0.025) ** 2) - 500
    assert few.excludable > RULES.segment_margin > many.excludable
    assert few.missing_for_guard == 10
    assert many.missing_for_guard == 0


def test_a_later_look_needs_more_queries() -> None:
    queries = GateQueries.of(["all"] * 300)
    first, later = (outlook(queries, RULES, alpha=alpha)[0] for alpha in (0.025, 0.001))
    assert later.detectable > first.detectable
    assert later.more_queries[0.05] > first.more_queries[0.05]


def test_paraphrases_and_weights_are_worth_less_than_their_number() -> None:
    plain, paraphrased, weighted = (
        outlook(queries, RULES)[0]
        for queries in (
            GateQueries.of(["all"] * 400),
            GateQueries.of(["all"] * 400, np.arange(400) // 8),
            GateQueries.of(["all"] * 400, weights=np.array([50.0] * 40 + [1.0] * 360)),
        )
    )
    assert paraphrased.clusters == pytest.approx(50)
    assert weighted.clusters < 60
    assert min(paraphrased.detectable, weighted.detectable) > 2 * plain.detectable


def test_without_queries_nothing_can_be_proven() -> None:
    [whole] = outlook(GateQueries.of([]), RULES)
    assert (whole.queries, whole.detectable, whole.excludable) == (0, math.inf, 1.0)
    assert whole.missing_for_guard > 20
