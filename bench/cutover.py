"""How long does a name take to lead to another build, and what do searches see meanwhile?

Real PostgreSQL with pgvector, Qdrant's local mode and LanceDB embedded, `--chunks` vectors of 384
dimensions in each of two builds. A thread searches all the time by the name alone, as a service
does; the name is moved and moved back `--rounds` times. Printed: the slowest move each way beside
the bar, and of the searches how many were made, failed, had chunks of both builds, or still found
the old build though they began after the move was done; and the slowest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

# The rigs are not installed; the benchmarks and the tests share them.
sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.contract.reembed.engines import lance_store, pgvector_store, qdrant_store
from tests.contract.reembed.stores import SearchLoad, Store, points, postgres_server, unit

from ragwheel.reembed.indexes.contracts import IndexBuild, SpaceVectors, physical_name

BAR_MS = 1_000
DIMENSION, BATCH = 384, 500


@contextmanager
def postgres(folder: Path) -> Iterator[Store]:
    """A server of its own."""
    runtime, data = folder / "runtime", folder / "data"
    for each in (runtime, data):
        each.mkdir(parents=True)
    with postgres_server(runtime, data) as url, pgvector_store(url, "chunks") as store:
        yield store


ENGINES: dict[str, Callable[[Path], AbstractContextManager[Store]]] = {
    "pgvector": postgres,
    "qdrant": qdrant_store,
    "lancedb": lance_store,
}


def measure(name: str, store: Store, chunks: int, rounds: int) -> bool:
    """Print one line; whether it meets the bar."""
    ids = [f"chunk-{number}" for number in range(chunks)]
    vectors = {"one": unit(chunks, DIMENSION, seed=1), "two": unit(chunks, DIMENSION, seed=2)}
    before = store.own(ids, vectors["one"])
    old = IndexBuild(before, "one", 0)
    new = IndexBuild(physical_name("chunks", "two"), "two", DIMENSION, before)
    store.index.create(new)
    for start in range(0, chunks, BATCH):
        part = slice(start, start + BATCH)
        store.index.upsert(new, points(ids[part], "two", vectors["two"][part]))
    query = vectors["two"][3]
    answers = {
        build: tuple(
            store.index.verify(build, SpaceVectors(build.fingerprint, query[None]), 3).hits[0]
        )
        for build in (old, new)
    }
    took: dict[IndexBuild, list[float]] = {old: [], new: []}
    late = 0
    with SearchLoad(store.open_search, query) as load:
        load.until(answers[old])
        for source, target in [(old, new), (new, old)] * rounds:
            began = time.perf_counter()
            store.index.point(target, source.physical)
            took[target].append((time.perf_counter() - began) * 1_000)
            load.until(answers[target])  # five answers: the search that ran meanwhile is over
            seen = load.found[answers[source]]
            load.until(answers[target])
            late += load.found[answers[source]] - seen
    made = sum(load.found.values()) + len(load.failed)
    mixed = sum(count for found, count in load.found.items() if found not in answers.values())
    there, back = max(took[new]), max(took[old])
    print(
        f"{name:9} {chunks:7,} {there:9.1f} {back:9.1f} {made:9,} {len(load.failed):7} "
        f"{mixed:6} {late:5} {load.slowest_s * 1_000:12.1f}"
    )
    return max(there, back) < BAR_MS and not load.failed and not mixed and not late


def main() -> int:
    """Measure each engine; 1 if one of them misses the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    print(f"bar: {BAR_MS:,} ms there and back, 0 failed, 0 mixed, 0 late")
    print(f"{'engine':9} {'chunks':>7} {'there ms':>9} {'back ms':>9} {'searches':>9} "
          f"{'failed':>7} {'mixed':>6} {'late':>5} {'slowest ms':>12}")  # fmt: skip
    fine = []
    for name, engine in ENGINES.items():
        with tempfile.TemporaryDirectory() as folder, engine(Path(folder) / name) as store:
            fine.append(measure(name, store, arguments.chunks, arguments.rounds))
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
