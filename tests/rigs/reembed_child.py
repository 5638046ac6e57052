"""A build in a process of its own, which ends itself as `kill -9` does at a chosen point.

python -m tests.rigs.reembed_child CLICKHOUSE_URL STORE_URL FOLDER POINT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.rigs.reembedding import Deadly, DrawnEncoder

from ragwheel.backends.migrate import open_tables
from ragwheel.models.vectors import VectorCache
from ragwheel.reembed.filling import Building
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.reembed.runners import LocalRunner
from ragwheel.reembed.store import ReembedStore
from ragwheel.schemas.loading import load
from ragwheel.schemas.secrets import StoreUrl
from ragwheel.schemas.settings import ClickHouseSettings

#: Chunks per shard: small, so that a small corpus has several.
SHARD_CHUNKS = 8
#: Where it ends: what is called, how often that is survived, and whether it ends before the call.
POINTS: dict[str, tuple[str, str, int, bool]] = {
    "planned": ("log", "write", 0, False),  # the shards are noted, none is embedded
    "embedding": ("known", "add", 1, True),  # vectors of the second shard in memory alone
    "stored": ("index", "upsert", 0, False),  # they are in the store, and nobody knows
    "noted": ("log", "write", 0, False),  # between two shards
}


def building(log: Any, index: Any, folder: Path, point: str = "nowhere") -> Building:
    """The build of the only plan, with vectors cached in `folder`."""
    (reembed,) = log.reembeds()
    model = DrawnEncoder("new", folder / "embedded")
    known: Any = VectorCache(folder / "vectors").known(model)
    if point in POINTS:
        what, call, after, first = POINTS[point]
        log = Deadly(log, call, after, first) if what == "log" else log
        known = Deadly(known, call, after, first) if what == "known" else known
        index = Deadly(index, call, after, first) if what == "index" else index
    return Building(
        log, index, reembed, LocalRunner(model), known, "fp32", shard_chunks=SHARD_CHUNKS
    )


if __name__ == "__main__":
    url, store, folder, point = sys.argv[1:]
    settings = load(ClickHouseSettings, clickhouse_url=url)
    log, index = ReembedStore(open_tables(settings)), open_index(StoreUrl(store))
    building(log, index, Path(folder), point).catch_up()
