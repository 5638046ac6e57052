"""`ragwheel reembed` in words: cost first, sums that add up, and nothing dropped unasked."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from ragwheel.cli.main import main
from ragwheel.cli.views import reembedding as views
from ragwheel.operations.reembedding import ReembedPlan, ReembedReport
from ragwheel.reembed.advice import Advice
from ragwheel.reembed.planning import ReembedPrice
from ragwheel.reembed.shards import Totals

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_a_plan_says_hours_and_price_first_and_then_what_may_be_the_better_deal() -> None:
    text = views.plan(
        ReembedPlan(
            "4f2a", "docs", "1", "2", "qdrant://here#docs", "base", "f", 384, 1_000, 900, 60_000,
            0.25, 66.0, ReembedPrice(4.2, 3.8, 4.7, 3.78), 0.12, 1_200,
            [Advice("query lane", "it gained", "ragwheel train")],
        )
    )  # fmt: skip
    first, *rest = text.splitlines()
    assert first == "re-embedding 4f2a: 4.2 hours (± 12%: 3.8 hours to 4.7 hours), 3.78 USD"
    assert "25% of the vectors are cached" in rest[0]
    assert "the store holds 1,200 chunks and ragwheel knows 1,000" in text
    assert "query lane: it gained\n  ragwheel train" in text


def test_a_standing_adds_up_and_says_why_and_what_next() -> None:
    totals = Totals(20, 9, {"too long": 2}, {"no text": 1}, waiting=5, shards=4, shards_done=3)
    text = views.standing(
        ReembedReport(
            "4f2a", "running", NOW, "ops", "", "docs", "1", "2", "qdrant://here#docs", "base",
            totals, totals.unaccounted, "docs__1", 0.5, None, "", "go on",
        )
    )  # fmt: skip
    assert "20 chunks = 9 embedded + 2 failed + 1 skipped + 5 waiting + 3 new" in text
    assert "3 of 4 shards" in text
    assert "2 failed: too long" in text
    assert "1 skipped: no text" in text
    assert "30.0 minutes left" in text
    assert text.endswith("next: go on")


def test_progress_tells_the_first_shard_and_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    watch = views.progress()
    for done in (1, 2, 3):
        watch(Totals(30, 10 * done, waiting=30 - 10 * done, shards=3, shards_done=done))
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("10 of 30 chunks")
    assert said[-1].startswith("30 of 30 chunks")


@pytest.mark.parametrize("action", ["abort", "retire"])
def test_nothing_is_dropped_without_a_yes(
    action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert main(["reembed", action]) == 1
    assert "nothing was changed" in capsys.readouterr().err


def test_a_plan_without_a_model_names_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Nothing:
        def __init__(self, *_given: object) -> None: ...
        def __enter__(self) -> Nothing:
            return self

        def __exit__(self, *_error: object) -> None: ...

    monkeypatch.setattr("ragwheel.operations.reembedding.Reembedding", Nothing)
    assert main(["reembed", "plan"]) == 78
    assert "ragwheel reembed plan MODEL" in capsys.readouterr().err
