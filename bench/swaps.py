"""Does another model serve within 5 s while 50 queries a second go on, and do any of them fail?

MiniLM as the base and two models of its query side, promoted and rolled back in turn through the
real settlement, an artifact store, and the follower's own thread, which reads the pointer. Queries
come at fixed times, whatever the answers do, and are encoded by one thread, as the server does it.
A query's time counts from when it was due. Load of other processes counts too; it is printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import numpy as np
import torch

from ragwheel.models.artifacts import ArtifactStore
from ragwheel.models.canaries import canary_vectors, write_canaries
from ragwheel.models.encoder import load_encoder
from ragwheel.models.manifest import Manifest, OfSides, TrainConfig
from ragwheel.models.packaged import packaged_model
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.identity import digest
from ragwheel.schemas.settings import FollowSettings
from ragwheel.serving.follow import ModelFollower
from ragwheel.trainers.settle import Decision, Settlement

SERVED_S, FAILED, SLOWER = 5.0, 0, 3.0
_LOOK_S = 0.25


@dataclass
class Declared:
    """An index that holds the base model's vectors."""

    fingerprint: str

    def fingerprint_of(self, index: str) -> str:
        """The base model's."""
        return self.fingerprint


@dataclass
class Asking:
    """Queries at a steady rate, and how long each took from when it was due."""

    follower: ModelFollower
    rate: float
    stop: Event = field(default_factory=Event)
    failed: int = 0
    mixed: int = 0
    answered: list[tuple[float, float]] = field(default_factory=list)

    def run(self) -> None:
        """Ask until told to stop."""
        began, number = time.perf_counter(), 0
        while not self.stop.is_set():
            due = began + number / self.rate
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                generation = self.follower.current()
                generation.query.encode([f"how do I rotate key number {number}?"], "query")
            except Exception as error:  # noqa: BLE001 - a failed query is what is counted
                print(f"failed: {error}", file=sys.stderr)
                self.failed += 1
            now = time.perf_counter()
            self.answered.append((now, now - due))
            number += 1


def register(registry: ModelRegistry, base: str, seed: int) -> str:
    """A model of the base's query side, a little aside."""
    document, query = load_encoder(base, 128), load_encoder(base, 128)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in query.model.parameters():
            each.add_(torch.randn(each.shape, generator=random) * 1e-3)
    manifest = Manifest(
        lane="query", base_model=base, base_fingerprint=document.fingerprint,
        document_fingerprint=document.fingerprint, dimension=query.dimension, sides=OfSides(),
        snapshot_id="bench", config=TrainConfig(), seed=seed, versions={}, data={}, training={},
    )  # fmt: skip
    vectors = canary_vectors(query, "query"), canary_vectors(document, "document")
    return registry.register(manifest, query.save, lambda at: write_canaries(at, *vectors)).model_id


def decide(settlement: Settlement, base: str, model_id: str, action: str, serving: str) -> None:
    """Promote, or roll back."""
    now = datetime.now(UTC)
    event = ModelEvent(
        event_id=digest("bench", model_id, now.isoformat()), model_id=model_id, base_model=base,
        incumbent_id=serving, action=action, reason="bench", ts=now,  # type: ignore[arg-type]
    )  # fmt: skip
    settlement.settle(Decision(event=event, measured=settlement.registry.current_id()))


def measure(folder: Path, swaps: int, rate: float) -> bool:
    """Print the three figures beside their bars; whether all are met."""
    base = str(packaged_model())
    registry = ModelRegistry(folder / "trainer")
    one, two = (register(registry, base, seed) for seed in (1, 2))
    store = ArtifactStore(str(folder / "artifacts"))
    settlement = Settlement(registry, lambda event: None, store)
    decide(settlement, base, one, "promoted", "")
    settings = FollowSettings(
        base_model=base, artifacts=store.url, serving_dir=folder / "server", model_dir=folder / "no"
    )
    declared = Declared(load_encoder(base, 128).fingerprint)
    with ModelFollower(settings, declarations=declared, listen=False, look_s=_LOOK_S) as follower:
        asking = Asking(follower, rate)
        thread = Thread(target=asking.run)
        thread.start()
        time.sleep(10)
        steady = np.array([took for _, took in asking.answered][50:])
        took = [_swap(follower, settlement, base, one, two, at) for at in range(swaps)]
        asking.stop.set()
        thread.join()
        during = np.array([
            each for at, each in asking.answered
            if any(begun <= at <= begun + seconds for begun, seconds in took)
        ])  # fmt: skip
    served = float(np.percentile([seconds for _, seconds in took], 99))
    p99, p99_during = (float(np.percentile(each, 99)) for each in (steady, during))
    met = (served < SERVED_S, asking.failed <= FAILED, p99_during <= SLOWER * p99)
    print(f"{swaps} swaps at {rate:g} queries/s, load {os.getloadavg()[0]:.1f}")
    print(f"  decided → served, p99   {served:.2f} s       (bar < {SERVED_S:g} s)  {_say(met[0])}")
    print(f"  failed queries          {asking.failed} of {len(asking.answered)}  (bar {FAILED})  "
          f"{_say(met[1])}")  # fmt: skip
    print(
        f"  p99 during a swap       {p99_during * 1e3:.0f} ms, steady {p99 * 1e3:.0f} ms: "
        f"{p99_during / p99:.1f} times  (bar ≤ {SLOWER:g})  {_say(met[2])}"
    )
    return all(met)


def _swap(
    follower: ModelFollower, settlement: Settlement, base: str, one: str, two: str, number: int
) -> tuple[float, float]:
    """When it was decided, and how long it took until it served."""
    wanted = one if number % 2 else two
    began = time.perf_counter()
    if number % 2:
        decide(settlement, base, two, "rolled_back", one)
        settlement.registry.allow(two)
    else:
        decide(settlement, base, two, "promoted", "")
    while follower.current().model_id != wanted:
        if time.perf_counter() - began > 60:
            sys.exit(f"{wanted} does not serve: {follower.state().last_refusal}")
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    time.sleep(0.5)
    return began, seconds


def _say(met: bool) -> str:
    return "met" if met else "MISSED"


def main() -> int:
    """Run it; the exit status says whether every bar is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--rate", type=float, default=50.0)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        return 0 if measure(folder, given.swaps, given.rate) else 1
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
