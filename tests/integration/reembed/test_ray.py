"""Ray runs shards and remembers nothing: what comes back is what a process here makes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.rigs.reembedding import POISON, DrawnEncoder

from ragwheel.models.encoder import Progress, Side, Vectors
from ragwheel.models.vectors import VectorCache
from ragwheel.reembed.embed_shard import EmbeddedTexts, ShardTask
from ragwheel.reembed.runners import LocalRunner, RayRunner, Runner

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

TASKS = [
    ShardTask("space-of-new", [f"text {shard} {row}" for row in range(5)]) for shard in range(4)
] + [ShardTask("space-of-new", ["good", POISON])]


class Mortal(DrawnEncoder):
    """Ends its process when it first embeds; `note` says that it did."""

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        assert self.note is not None
        if not self.note.exists():
            self.note.touch()
            os._exit(1)
        return DrawnEncoder(self.name).encode(texts, side, progress)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A local cluster of two cores, whose workers find the tests."""
    ray = pytest.importorskip("ray")
    path = f"{Path(__file__).parents[3]}:{os.environ.get('PYTHONPATH', '')}"
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )  # fmt: skip
    yield
    ray.shutdown()


def test_a_training_embeds_on_ray_stores_here_and_goes_on_where_it_was_killed(
    cluster: None, tmp_path: Path
) -> None:
    texts = [f"text {row}" for row in range(2_500)]
    here = VectorCache(tmp_path / "here").embed(DrawnEncoder("new"), texts)
    there = VectorCache(tmp_path / "there", 2, "ray")
    assert np.array_equal(there.embed(DrawnEncoder("new"), texts[:1_500]), here[:1_500])
    stored = {*(tmp_path / "there").rglob("*.shard")}
    assert len(stored) == 2
    assert np.array_equal(there.embed(DrawnEncoder("new"), texts), here)
    assert len({*(tmp_path / "there").rglob("*.shard")} - stored) == 1, "only what was missing"


def results(runner: Runner) -> dict[int, EmbeddedTexts]:
    return dict(runner.run(TASKS))


def test_ray_a_pool_and_this_process_make_equal_vectors_and_a_dead_worker_costs_nothing_else(
    cluster: None, tmp_path: Path
) -> None:
    mortal = partial(Mortal, "new", tmp_path / "died")
    here = results(LocalRunner(DrawnEncoder("new")))
    pool = results(LocalRunner(DrawnEncoder("new"), 2, partial(DrawnEncoder, "new")))
    there = results(RayRunner(mortal, workers=2))
    assert (tmp_path / "died").exists()
    assert sorted(here) == sorted(pool) == sorted(there) == list(range(len(TASKS)))
    for at, made in here.items():
        for other in (pool[at], there[at]):
            assert np.array_equal(made.vectors, other.vectors)
            assert made.failed == other.failed
    assert list(here[4].failed) == [1]
