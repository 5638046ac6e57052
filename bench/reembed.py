"""Does a re-embedding take what its plan said, and how long does the switch take?

The standard library's source in pieces of about 600 characters, the packaged MiniLM as the target,
an embedded ClickHouse and LanceDB. The plan is made as `ragwheel reembed plan` makes it, by a
sample; then the whole is built as `ragwheel reembed run` builds it, stored vectors and rows
included. Figures are printed beside the bars that they are held to. Plan and build are timed in
processor seconds: on a shared machine only they compare.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.models.encoder import TextEncoder, load_encoder
from ragwheel.models.packaged import packaged_model
from ragwheel.models.vectors import VectorCache
from ragwheel.reembed.filling import Building
from ragwheel.reembed.indexes.contracts import Index, IndexBuild
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.reembed.planning import price
from ragwheel.reembed.proposing import Proposal, Proposed, propose
from ragwheel.reembed.runners import LocalRunner
from ragwheel.reembed.states import Reembed
from ragwheel.reembed.store import ReembedStore
from ragwheel.reembed.target_model import TargetModel
from ragwheel.schemas.events import ChunkEvent, IndexEvent
from ragwheel.schemas.loading import load
from ragwheel.schemas.secrets import StoreUrl
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.schemas.tables import Table, rows_of
from ragwheel.schemas.topics import Position
from ragwheel.stack.clickhouse import ClickHouseFront

#: The plan against what follows, and seconds of a switch.
MOST_OFF, SWITCH_S = 0.25, 1.0
PIECE_CHARS, LENGTH = 600, 128
USD_PER_HOUR = 1.0
SHARD_CHUNKS = 256


@dataclass(frozen=True, slots=True)
class World:
    """What a build needs."""

    store: ReembedStore
    index: Index
    cache: VectorCache
    encoder: TextEncoder


def pieces(count: int) -> list[str]:
    """The first `count` pieces of the standard library, in the order of its files."""
    found: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text = path.read_text("utf-8", errors="replace")
        found += [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]
        if len(found) >= count:
            break
    return [each for each in found[:count] if each.strip()]


def landed(texts: list[str]) -> Iterator[tuple[Table, tuple[object, ...]]]:
    """What intake makes of an index that holds them."""
    at = datetime.now(UTC) - timedelta(hours=1)
    for number, text in enumerate(texts):
        chunk = ChunkEvent(
            chunk_id=f"c-{number}", text=text, ts=at, index="docs", index_version="1"
        )
        yield from rows_of(chunk, Position("chunks", 0, number))
    said = IndexEvent(
        index="docs", index_version="1", ts=at, complete=True, chunks=len(texts),
        document_fingerprint="another model's",
    )  # fmt: skip
    yield from rows_of(said, Position("chunks", 0, len(texts)))


def show(what: str, value: str, bar: str, *, met: bool) -> bool:
    """One line, with the bar that it is held to."""
    print(f"{what:<44} {value:>18}   bar: {bar:<12} {'met' if met else 'MISSED'}")
    return met


def switch(index: Index, reembed: Reembed) -> tuple[float, float]:
    """Seconds of a cutover and of a rollback, in the store."""
    taken = []
    before = IndexBuild("before", "another model's", reembed.dimension)
    index.create(before)
    index.point(before, "")
    for build, old in ((reembed.build, before.physical), (before, reembed.physical)):
        began = time.perf_counter()
        index.point(build, old)
        taken.append(time.perf_counter() - began)
    return taken[0], taken[1]


def follow(world: World, plan: Proposed) -> bool:
    """Build what was planned, and compare."""
    reembed = plan.reembed
    building = Building(
        world.store, world.index, reembed, LocalRunner(world.encoder),
        world.cache.known(world.encoder), world.encoder.arithmetic, shard_chunks=SHARD_CHUNKS,
    )  # fmt: skip
    began = time.process_time()
    totals = building.catch_up()
    took = (time.process_time() - began) / 3_600
    said = price(plan.probe, reembed.tokens, reembed.machines, reembed.usd_per_hour)
    print(f"{totals.corpus:,} chunks; sample: {plan.probe.texts_per_s:.1f} per processor second")
    print(f"{totals.shards / took / 3_600:.3f} shards of {SHARD_CHUNKS} per processor second")
    hours, usd = took / said.hours - 1, took * USD_PER_HOUR / said.usd - 1
    bar = f"± {MOST_OFF:.0%}"
    told = f"{said.hours * 3_600:.0f} s, {took * 3_600:.0f} s"
    met = show(
        "hours, planned and taken", f"{told} ({hours:+.0%})", bar, met=abs(hours) <= MOST_OFF
    )
    met &= show("price against the plan", f"{usd:+.0%}", bar, met=abs(usd) <= MOST_OFF)
    lost = totals.corpus - totals.embedded
    met &= show("chunks not embedded", str(lost), "0", met=not lost)
    for what, seconds in zip(("cutover", "rollback"), switch(world.index, reembed), strict=True):
        met &= show(f"{what}, s", f"{seconds:.4f}", f"< {SWITCH_S:g}", met=seconds < SWITCH_S)
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=2_000)
    chosen = parser.parse_args()
    model = packaged_model()
    if model is None:
        print("the packaged model is not installed: pip install 'ragwheel[local]'")
        return 1
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        front = stack.enter_context(ClickHouseFront(home / "clickhouse"))
        settings = load(ClickHouseSettings, clickhouse_url=front.url("bench"))
        client = stack.enter_context(closing(connect(settings, create_database=True)))
        migrate(client)
        texts = pieces(chosen.chunks)
        rows: dict[str, tuple[Table, list[tuple[object, ...]]]] = {}
        for table, row in landed(texts):
            rows.setdefault(table.name, (table, []))[1].append(row)
        for table, of_table in rows.values():
            client.insert(table.name, of_table, column_names=list(table.columns))

        encoder = load_encoder(model, LENGTH)
        store, cache = ReembedStore(client), VectorCache(home / "vectors")
        index = stack.enter_context(closing(open_index(StoreUrl(f"lancedb://{home}/lance#docs"))))
        asked = Proposal(str(model), max_seq_length=LENGTH, usd_per_hour=USD_PER_HOUR)
        target = TargetModel(lambda: encoder, lambda: encoder)
        plan = propose(
            store, index, cache, target, asked, "bench", datetime.now(UTC), time.process_time
        )
        return 0 if follow(World(store, index, cache, encoder), plan) else 1


if __name__ == "__main__":
    sys.exit(main())
