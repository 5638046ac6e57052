"""A made-up result of a run, for tests of what is shown."""

from __future__ import annotations

from datetime import UTC, datetime

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.demo.outcome import (
    Comparison,
    DeadLetterSample,
    DemoResult,
    FunnelStage,
    LabelSummary,
    RankedChunk,
    ServedSearch,
    Step,
)
from ragwheel.measuring.intervals import Interval
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.identity import content_hash, query_hash
from ragwheel.trainers.proof.evaluation import RankShift


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


def shift(query: str, chunk_id: str, segment: str, before: int, after: int) -> RankShift:
    return RankShift(query, query_hash(query), content_hash(chunk_id), segment, before, after)


CHUNK_IDS = {
    content_hash(chunk_id): chunk_id for chunk_id in ("shutil:copy<tree>", "os:walk", "re:match")
}
SHIFTS = (
    shift("Was at twenty & is at five.", "shutil:copy<tree>", "files", 20, 5),
    shift("Was at the top and stays.", "os:walk", "files", 1, 1),
    shift("Fell out of the first ten.", "re:match", "text", 3, 40),
    shift("Was hopeless.", "re:sub", "text", 900, 450),
)


def verdict(action: str = "promoted", reason: str = "recall@10 rose.") -> ModelEvent:
    return ModelEvent.model_validate(
        {
            "event_id": "0" * 32,
            "model_id": "m1",
            "base_model": "base",
            "action": action,
            "reason": reason,
            "triplets": 24_000,
            "labels": 69_000,
            "ts": datetime(2026, 11, 23, 9, 5, tzinfo=UTC),
        }
    )


def served(model_id: str = "m1", *, promoted: bool = True) -> ServedSearch:
    walk, copy = "os:walk", "shutil:copy<tree>"
    return ServedSearch(
        query=SHIFTS[0].query,
        model_id=model_id,
        expected="m1" if promoted else "base",
        promoted=promoted,
        documents_match=True,
        before=(RankedChunk(walk, 0.61, False), RankedChunk("re:match", 0.5, False)),
        after=(RankedChunk(copy, 0.74, True), RankedChunk(walk, 0.58, False)),
    )


def result(problems: tuple[str, ...] = ()) -> DemoResult:
    return DemoResult(
        started_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
        scale="full",
        seed=7,
        grader="The demo grader stands in for an LLM.",
        chunks=6_000,
        funnel=(
            FunnelStage("searches", 8_000),
            FunnelStage("sampled", 4_800, "60 %"),
            FunnelStage("trained on", 9),
        ),
        sent={"queries": 8_050},
        accounts=(
            TopicAccount("queries", produced=8_050, landed=8_040, dead_lettered=10),
            TopicAccount("labels", produced=70_000, landed=70_000),
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
        chunk_ids=CHUNK_IDS,
        verdict=verdict(),
        prometheus=(0.7, 0.78),
        steps=(Step("corpus", 6.0), Step("training", 60.0)),
        search_latency_ms=(2.0, 5.0),
        served=served(),
        problems=problems,
    )  # fmt: skip
