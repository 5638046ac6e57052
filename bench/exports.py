"""How long do the sides of 100,000 queries, a snapshot and the triplets of 1M labels take?

Labels are random: 50,000 queries with 20 grades each over 100,000 chunks of about 400 characters.
Each step runs in a process of its own, so that its peak of memory is its own. Every figure is
printed beside the bar that it is held to. Times are processor seconds: on a shared machine only
they compare.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ragwheel.models.manifest import TrainConfig
from ragwheel.operations.exports.columns import SnapshotTables
from ragwheel.operations.exports.sentence_transformers import write_triplets
from ragwheel.schemas import identity
from ragwheel.trainers.data import folder
from ragwheel.trainers.data.records import Corpus, Grade, SampledQuery
from ragwheel.trainers.data.snapshot import Recipe, Snapshot, build_snapshot
from ragwheel.trainers.data.split import Membership, Sides, assign_sides

NOON = datetime(2026, 1, 1, tzinfo=UTC)
GRADES = 20


def make(queries: int) -> Snapshot:
    """A snapshot with `GRADES` labels per query, of which one or two are relevant."""
    rng = random.Random(0)
    words = [f"word{number}" for number in range(5_000)]
    texts = [" ".join(rng.choices(words, k=45)) for _ in range(2 * queries)]
    corpus = sorted((identity.content_hash(text), text) for text in set(texts))
    hashes = tuple(chunk for chunk, _ in corpus)
    sampled, grades, sides = [], [], {}
    for _ in range(queries):
        text = " ".join(rng.choices(words, k=8))
        query_hash = identity.query_hash(text)
        shown = tuple(sorted(rng.sample(hashes, GRADES)))
        sampled.append(
            SampledQuery(query_hash, text, query_hash, "all", NOON, "all", 1.0, 1, shown, NOON)
        )
        sides[query_hash] = Membership(query_hash, "train")
        right = rng.sample(shown, rng.randint(1, 2))
        grades += [
            Grade(query_hash, each, 3 * (each in right), "label", "g@1", "r@1", "llm", NOON)
            for each in shown
        ]
    recipe = Recipe("base", "f", TrainConfig(), 1, 0.25)
    found = Corpus(hashes, tuple(text for _, text in corpus))
    return build_snapshot(sampled, Sides(sides), grades, None, found, recipe)


def sides(count: int) -> None:
    """Deal sides to queries that are half paraphrases of one another."""
    rng = random.Random(0)
    words = [f"{number:x}" for number in rng.sample(range(1 << 40), 20_000)]
    base = [rng.choices(words, k=7) for _ in range(count // 2)]
    texts = [" ".join(each) for each in base]
    texts += [" ".join([*rng.choice(base)[:6], rng.choice(words)]) for _ in range(count // 2)]
    vectors = np.random.default_rng(0).standard_normal((count, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = [
        SampledQuery(identity.query_hash(text), text, "", "all", NOON, "all", 1.0, 1, (), NOON)
        for text in texts
    ]
    began = time.process_time()
    assign_sides(queries, vectors, 0.25, Sides())
    show(f"sides of {count:,} queries", time.process_time() - began, 150, 4)


def write(queries: int, root: Path) -> None:
    """Store a snapshot."""
    snapshot = make(queries)
    print(f"  made in memory: {peak():.1f} GB")
    began = time.process_time()
    folder.write(snapshot, root)
    show(f"snapshot of {len(snapshot.grades):,} labels", time.process_time() - began, 10, 2)


def triplets(root: Path) -> None:
    """Export what was stored."""
    [line] = folder.stored(root)
    began = time.process_time()
    tables: SnapshotTables = folder.read_tables(root / line.snapshot_id)
    count = write_triplets(tables, "train", root / "triplets.parquet")
    name = f"{count:,} triplets of {line.grades:,} labels"
    show(name, time.process_time() - began, 10, 2)


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def show(what: str, seconds: float, most_s: float, most_gb: float) -> None:
    """Print a figure beside its bar; a miss ends the process with 1."""
    met = seconds <= most_s and peak() <= most_gb
    bars = f"bar {most_s:g} cpu s, {most_gb:g} GB"
    print(f"{what}: {seconds:.1f} cpu s, {peak():.2f} GB ({bars}) {'ok' if met else 'MISSED'}")
    if not met:
        sys.exit(1)


def alone(work: Callable[..., None], *given: object) -> bool:
    """Run a step in a fresh process; whether it met its bars."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=given)
    process.start()
    process.join()
    return process.exitcode == 0


def main() -> int:
    """Run everything; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=50_000, help="labeled queries")
    parser.add_argument("--sides", type=int, default=100_000, help="queries that get a side")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        met = [
            alone(write, given.queries, Path(root)),
            alone(triplets, Path(root)),
            alone(sides, given.sides),
        ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
