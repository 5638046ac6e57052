"""Can a laptop rank a million chunks exactly, and what does it cost?

Random unit vectors, which no index could shorten: the work and the memory are those of any corpus
of that size. Every figure is printed beside the bar that it is held to; time is processor time,
because on a shared machine only that compares.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
import psutil

from ragwheel.models.encoder import Vectors
from ragwheel.trainers.systems.nearest import nearest, ranks_of

DIMENSION = 384
DEPTH = 100
#: Processor seconds that a gate of 1,500 queries may take, by chunks.
RANK_S = {100_000: 15.0, 1_000_000: 150.0}
#: 6,000 (query, chunk) pairs: every judged relevant pair of a large gate.
PAIRS, PAIRS_S = 6_000, {100_000: 15.0, 1_000_000: 150.0}
#: Beyond the documents themselves.
EXTRA_GIB = 1.0


def unit_vectors(rows: int, seed: int) -> Vectors:
    """Random directions, made in parts: a float64 copy of a million would be the peak."""
    random = np.random.default_rng(seed)
    made = np.empty((rows, DIMENSION), np.float32)
    for start in range(0, rows, 50_000):
        part = random.standard_normal((min(50_000, rows - start), DIMENSION), np.float32)
        made[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return made


def bar(name: str, value: float, limit: float, unit: str) -> bool:
    """Print a figure beside its bar."""
    holds = value <= limit
    print(f"  {'ok  ' if holds else 'MISS'} {name}: {value:.2f} {unit} (bar: <= {limit:g} {unit})")
    return holds


def peak_gib() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(chunks: int, queries: int) -> bool:
    """Rank `queries` over `chunks`."""
    print(f"{queries:,} queries x {chunks:,} chunks x {DIMENSION} dimensions, depth {DEPTH}")
    documents, asked = unit_vectors(chunks, 1), unit_vectors(queries, 2)
    before = psutil.Process().memory_info().rss / 2**30
    began, cpu = time.perf_counter(), time.process_time()
    found = nearest(asked, documents, DEPTH)
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    after = peak_gib()
    sample = np.arange(0, queries, max(1, queries // 5))
    exact = np.argsort(-(asked[sample] @ documents.T), axis=1, kind="stable")[:, :DEPTH]
    share = float((exact == found.rows[sample]).mean())
    held = [bar("rank", spent, RANK_S[chunks] * queries / 1_500, "cpu s"),
            bar("peak memory beyond the documents", after - before, EXTRA_GIB, "GiB")]  # fmt: skip
    print(f"       {took:.0f} s wall; {share:.1%} of ranks as by a full sort; peak {after:.2f} GiB")
    pairs = [(each % queries, (each * 7_919) % chunks) for each in range(PAIRS)]
    cpu = time.process_time()
    ranks_of(asked, documents, pairs)
    spent = time.process_time() - cpu
    held.append(bar(f"exact rank of {PAIRS:,} pairs", spent, PAIRS_S[chunks], "cpu s"))
    return all(held)


def main() -> int:
    """Run everything; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[100_000], choices=sorted(RANK_S))
    parser.add_argument("--queries", type=int, default=1_500)
    arguments = parser.parse_args()
    held = [measure(chunks, arguments.queries) for chunks in arguments.chunks]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
