"""What a plan says: hours with their uncertainty, money, and better deals in numbers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rigs.reembedding import AT, DrawnEncoder

from ragwheel.reembed.advice import better_deals
from ragwheel.reembed.planning import Probe, price, probe
from ragwheel.reembed.proposing import declared_index
from ragwheel.reembed.states import ReembedRefusedError
from ragwheel.schemas.events import IndexEvent


def test_hours_and_money_follow_from_the_sample() -> None:
    cost = price(Probe(512, 50.0, 0.001, 0.25), tokens=7_200_000, machines=2, usd_per_hour=3.0)
    assert cost.hours == pytest.approx(1.0)
    assert cost.low == pytest.approx(0.8)
    assert cost.high == pytest.approx(1.25)
    assert cost.usd == pytest.approx(6.0)


def test_a_sample_is_timed_and_says_how_sure_it_is() -> None:
    found = probe(DrawnEncoder("new"), [f"text {number}" for number in range(40)])
    assert found.texts == 40
    assert found.texts_per_s > 0
    assert found.seconds_per_token > 0
    assert found.uncertainty >= 0.1


def test_no_corpus_takes_no_time_and_one_text_says_little() -> None:
    assert probe(DrawnEncoder("new"), []).seconds_per_token == 0
    assert probe(DrawnEncoder("new"), ["alone"]).uncertainty >= 0.5


def report(action: str, gain: float, low: float, at: str = "2026-01-01") -> dict[str, Any]:
    figures = [
        {"metric": "recall", "k": k, "segment": "*", "system": "incumbent",
         "interval": {"value": value, "low": 0, "high": 1}, "queries": 90}
        for k, value in ((1, 0.3), (10, 0.8))
    ]  # fmt: skip
    return {
        "at": at,
        "verdict": {"action": action, "gain": gain, "gain_low": low, "queries": 90},
        "figures": figures,
        "stage_seconds": {"train": 90.0, "embed": 30.0},
    }


def test_the_best_proven_gain_of_the_query_lane_is_set_against_the_hours() -> None:
    reports = {
        "small": report("promoted", 0.02, 0.01),
        "large": report("promoted", 0.08, 0.05),
        "unproven": report("shadow", 0.3, 0.2),
    }
    query, reranking = better_deals(reports, 4.2)
    assert query.command == "ragwheel models explain large"
    for figure in ("+0.080", "+0.050", "90 queries", "2.0 minutes", "4.2 hours"):
        assert figure in query.said
    assert "0.500 is found and stands lower" in reranking.said
    assert "0.200 that is not found" in reranking.said


def test_without_a_verdict_the_query_lane_is_the_first_thing_to_try() -> None:
    (query,) = better_deals({}, 4.2)
    assert query.command == "ragwheel train"


def declaration(index: str, fingerprint: str = "f") -> IndexEvent:
    return IndexEvent(
        index=index, index_version="1", ts=AT, complete=True, chunks=1,
        document_fingerprint=fingerprint,
    )  # fmt: skip


def test_the_only_declared_index_is_meant() -> None:
    assert declared_index([declaration("docs")], None).index == "docs"
    both = [declaration("docs"), declaration("code")]
    assert declared_index(both, "code").index == "code"


@pytest.mark.parametrize(
    ("said", "wanted", "why"),
    [
        ([], None, "never declared complete"),
        ([declaration("docs")], "code", "declared: 'docs'"),
        ([declaration("docs"), declaration("code")], None, "say --index"),
        ([declaration("docs", "")], None, "does not say whose vectors"),
    ],
)
def test_an_index_that_declares_nothing_is_refused(
    said: list[IndexEvent], wanted: str | None, why: str
) -> None:
    with pytest.raises(ReembedRefusedError, match=why):
        declared_index(said, wanted)
