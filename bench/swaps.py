"""Does another model serve within 5 s while 50 requests a second go on, and what do they feel?

    python bench/swaps.py [--swaps 20] [--rate 50] [--pause 3]

MiniLM as the base and two models of its query side, promoted and rolled back in turn by a real
trainer through a real broker; the real server process follows, with a ClickHouse that says what its
index holds. A process of its own asks at fixed times, whatever the answers do, no text twice: a
request's time counts from when it was due. Steady is what lies between the swaps of the same run,
so that other load of the machine weighs on both alike; load is printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import torch

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.kafka import create_topics
from ragwheel.backends.migrate import migrate
from ragwheel.models.canaries import canary_vectors, write_canaries
from ragwheel.models.encoder import load_encoder
from ragwheel.models.manifest import Manifest, OfSides, TrainConfig
from ragwheel.models.packaged import packaged_model
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import PREFIX, TrainerSettings
from ragwheel.schemas.tables import INDEXES
from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.stack.kafka import KafkaBroker
from ragwheel.trainers.trainer import Trainer

SERVED_S, FAILED, SLOWER = 5.0, 0, 3.0
_START_S = 120.0


@dataclass(frozen=True)
class Asked:
    """One request: when it was due and answered (monotonic seconds), by which model."""

    due: float
    answered: float
    status: int
    model: str


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


@contextmanager
def world(folder: Path) -> Iterator[TrainerSettings]:
    """A broker and a ClickHouse with an index of the base model; the trainer's settings."""
    with KafkaBroker(folder / "kafka") as broker, ClickHouseFront(folder / "clickhouse") as front:
        settings = load(
            TrainerSettings, kafka_bootstrap_servers=broker.bootstrap_servers,
            clickhouse_url=front.url("swaps"), model_dir=folder / "trainer",
            base_model=str(packaged_model()), artifacts=str(folder / "artifacts"),
        )  # fmt: skip
        create_topics(settings)
        client = connect(settings, create_database=True)
        migrate(client)
        fingerprint = load_encoder(settings.base_model, 128).fingerprint
        row = ("docs", "1", datetime.now(UTC), True, 1, "", fingerprint, "", 0, "")
        client.insert(INDEXES.name, [row], column_names=INDEXES.columns)
        client.close()
        yield settings


@contextmanager
def serving(settings: TrainerSettings, folder: Path) -> Iterator[str]:
    """The server process, ready; its address."""
    given = {
        "kafka_bootstrap_servers": settings.kafka_bootstrap_servers,
        "clickhouse_url": settings.clickhouse_url.get_secret_value(),
        "base_model": settings.base_model, "artifacts": settings.artifacts,
        "model_dir": folder / "none", "serving_dir": folder / "server", "serving_index": "docs",
        "serving_port": 0,
    }  # fmt: skip
    env = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    env |= {PREFIX + name.upper(): str(value) for name, value in given.items()}
    log = folder / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-m", "ragwheel.serving"], env=env, stderr=file)
    try:
        ends, url = time.monotonic() + _START_S, ""
        while not url or httpx.get(f"{url}/readyz", timeout=60).status_code != 200:
            if process.poll() is not None or time.monotonic() > ends:
                sys.exit(log.read_text())
            time.sleep(0.2)
            _, _, said = log.read_text().partition("listening at ")
            url = said.split()[0] if said else ""
        yield url
    finally:
        process.terminate()
        process.wait()


def swapped(trainer: Trainer, url: str, one: str, two: str, number: int) -> tuple[float, float]:
    """When a swap was decided, and when it served (monotonic seconds)."""
    began = time.monotonic()
    if number % 2:
        trainer.roll_back("bench")
        trainer.registry.allow(two)
    else:
        trainer.promote(two, "bench", force=True)
    wanted = one if number % 2 else two
    while httpx.get(f"{url}/readyz", timeout=60).json()["model_id"] != wanted:
        if time.monotonic() - began > 60:
            sys.exit(f"{wanted} does not serve: {httpx.get(f'{url}/info').json()['last_refusal']}")
        time.sleep(0.02)
    return began, time.monotonic()


def measure(folder: Path, swaps: int, rate: float, pause: float) -> bool:
    """Print the three figures beside their bars; whether all are met."""
    spans: list[tuple[float, float]] = []
    with world(folder) as settings, Trainer(settings) as trainer:
        one, two = (register(trainer.registry, settings.base_model, seed) for seed in (1, 2))
        trainer.promote(one, "bench", force=True)
        with serving(settings, folder) as url:
            load_script = Path(__file__).with_name("steady_load.py")
            asker = subprocess.Popen(
                [sys.executable, str(load_script), url.removeprefix("http://"), str(rate)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            time.sleep(pause)
            for number in range(swaps):
                time.sleep(pause)
                spans.append(swapped(trainer, url, one, two, number))
            time.sleep(pause)
            told, _ = asker.communicate("")
    lines = [line.split("\t") for line in told.splitlines()]
    asked = [Asked(float(a), float(b), int(status), model) for a, b, status, model in lines]
    return say(spans, asked, rate)


def say(spans: list[tuple[float, float]], asked: list[Asked], rate: float) -> bool:
    """Print the figures; whether all bars are met. The first second is warming up."""
    begins = asked[0].due + 1
    took = np.array([
        [each.answered - each.due,
         any(each.due <= ended and each.answered >= began for began, ended in spans)]
        for each in asked if each.due > begins
    ])  # fmt: skip
    during, steady = took[took[:, 1] == 1, 0], took[took[:, 1] == 0, 0]
    failed = sum(each.status != 200 for each in asked)
    seconds = [ended - began for began, ended in spans]
    served = float(np.percentile(seconds, 99))
    p99, p99_during = (float(np.percentile(each, 99)) for each in (steady, during))
    met = (served < SERVED_S, failed <= FAILED, p99_during <= SLOWER * p99)
    print(f"{len(spans)} swaps at {rate:g} requests/s, load {os.getloadavg()[0]:.1f}")
    print(
        f"  decided → served        p99 {served:.2f} s, p50 {np.median(seconds):.2f} s  "
        f"(bar < {SERVED_S:g} s)  {_met(met[0])}"
    )
    print(f"  failed requests         {failed} of {len(asked)}  (bar {FAILED})  {_met(met[1])}")
    print(
        f"  p99 during the swaps    {p99_during * 1e3:.0f} ms, steady {p99 * 1e3:.0f} ms: "
        f"{p99_during / p99:.1f} times  (bar ≤ {SLOWER:g})  {_met(met[2])}"
    )
    print(f"  p50                     {np.median(during) * 1e3:.0f} ms, steady "
          f"{np.median(steady) * 1e3:.0f} ms")  # fmt: skip
    return all(met)


def _met(holds: bool) -> str:
    return "met" if holds else "MISSED"


def main() -> int:
    """Run it; the exit status says whether every bar is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between two swaps")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return 0 if measure(Path(folder), given.swaps, given.rate, given.pause) else 1


if __name__ == "__main__":
    sys.exit(main())
