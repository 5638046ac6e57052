"""A made-up result of a run, for tests of what is shown."""

from __future__ import annotations

from datetime import UTC, datetime

from ragwheel.demo.result import (
    Comparison,
    DeadLetterSample,
    DemoResult,
    Interval,
    LabelSummary,
    RankShift,
    Step,
    TimedStep,
    TopicAccount,
    Verdict,
)


def comparison(metric: str, k: int, segment: str, before: float, delta: float) -> Comparison:
    def around(value: float, half: float) -> Interval:
        return Interval(value, value - half, value + half)

    return Comparison(
        metric,
        k,
        segment,
        around(before, 0.03),
        around(before + delta, 0.03),
        around(delta, 0.02),
        queries=300,
    )


def comparisons(before: float) -> tuple[Comparison, ...]:
    return tuple(
        comparison(metric, k, segment, before + min(k, 10) / 100, 0.08)
        for segment in ("*", "files", "text")
        for metric, k in (("recall", 1), ("recall", 5), ("recall", 10), ("mrr", 10))
    )


SHIFTS = (
    RankShift("Was at twenty & is at five.", "shutil:copy<tree>", "files", 20, 5),
    RankShift("Was at the top and stays.", "os:walk", "files", 1, 1),
    RankShift("Fell out of the first ten.", "re:match", "text", 3, 40),
    RankShift("Was hopeless.", "re:sub", "text", 900, 450),
)


def result(problems: tuple[str, ...] = ()) -> DemoResult:
    return DemoResult(
        started_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
        scale="full",
        seed=7,
        grader="The demo grader stands in for an LLM.",
        chunks=6_000,
        funnel=(
            TimedStep("searches", 8_000),
            TimedStep("sampled", 4_800, "60 %"),
            TimedStep("trained on", 9),
        ),
        accounts=(
            TopicAccount("queries", 8_050, 8_040, 10, 0, 0, 8_050),
            TopicAccount("labels", 70_000, 70_000, 0, 0, 0),
        ),
        dead_letters=(DeadLetterSample("queries", "not_utf8", 3, "byte 7 is <not> UTF-8"),),
        labels=(
            LabelSummary(
                "label", {"graded": 69_000, "refused": 12}, {0: 60_000, 1: 6_000, 2: 500, 3: 2_500},
                1.25, 20_000, 60.0,
            ),
            LabelSummary("judge", {"graded": 1_000}, {0: 900, 3: 100}, 0.5, 0, 0.0),
        ),
        judged=comparisons(0.6),
        truth=comparisons(0.5),
        shifts=SHIFTS,
        verdict=Verdict("promoted", "recall@10 rose.", "m1", "base", 24_000, 69_000, 300),
        prometheus=(0.7, 0.78),
        steps=(Step("corpus", 6.0), Step("training", 60.0)),
        search_latency_ms=(2.0, 5.0),
        problems=problems,
    )  # fmt: skip
