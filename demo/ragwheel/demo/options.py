"""What a demo run may be told, and the two sizes it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ScaleName = Literal["full", "small"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How big a run is. Every figure that differs between sizes is here.

    Attributes:
        chunks: chunks in the index; those with a question come first.
        max_tokens: of a chunk or question that the model reads.
        questions: different questions that users ask.
        searches: searches in all; what exceeds `questions` is Zipf-distributed repeats.
        zero_results: searches among them whose filter matches no chunk.
        duplicates: searches whose events are sent twice, as a retrying service does.
        sample_rate: share of searches that is graded.
        train_min_queries: threshold of the trainer, in queries with a relevant label: about 85 % of
            what the sample brings, so that one training starts when most labels are there, and no
            second one.
        gate_share: share of queries held out for the gate.
        gate_min_queries: fewest judged queries for a promotion.
        judge_depth: top-k of both systems that is pooled and judged.
        wait_s: longest wait for any change in a stage, seconds.
    """

    chunks: int
    max_tokens: int
    questions: int
    searches: int
    zero_results: int
    duplicates: int
    sample_rate: float
    train_min_queries: int
    gate_share: float
    gate_min_queries: int
    judge_depth: int
    wait_s: float

    def settings(self) -> dict[str, str]:
        """What the workers are told of it."""
        return {
            "RAGWHEEL_MAX_SEQ_LENGTH": str(self.max_tokens),
            "RAGWHEEL_SAMPLE_RATE": str(self.sample_rate),
            "RAGWHEEL_TRAIN_MIN_QUERIES": str(self.train_min_queries),
            "RAGWHEEL_GATE_SHARE": str(self.gate_share),
            "RAGWHEEL_GATE_MIN_QUERIES": str(self.gate_min_queries),
            "RAGWHEEL_JUDGE_DEPTH": str(self.judge_depth),
        }


SCALES: Mapping[ScaleName, Scale] = {
    "full": Scale(
        chunks=6_000,
        max_tokens=128,
        questions=5_000,
        searches=8_000,
        zero_results=60,
        duplicates=40,
        sample_rate=0.7,
        train_min_queries=2_500,
        gate_share=0.25,
        gate_min_queries=200,
        judge_depth=20,
        wait_s=600.0,
    ),
    "small": Scale(
        chunks=3_000,
        max_tokens=64,
        questions=2_700,
        searches=3_200,
        zero_results=12,
        duplicates=8,
        sample_rate=0.9,
        train_min_queries=1_680,
        gate_share=0.4,
        gate_min_queries=100,
        judge_depth=10,
        wait_s=300.0,
    ),
}


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Arguments of `ragwheel demo`, whose `--help` explains them."""

    scale: ScaleName = "full"
    home: Path = Path(".ragwheel")
    keep: bool = False
    seed: int = 7
    grader_error_rate: float = 0.05
