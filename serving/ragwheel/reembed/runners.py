"""Where shards are embedded: in this process, in a pool of processes, or on Ray.

A runner forgets everything: what is done is in ClickHouse. So a process that is killed costs the
shard that it had in hand, whoever started it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

from ragwheel.models.embedding_pool import run_parts
from ragwheel.models.encoder import Encoder
from ragwheel.models.ray_pool import RayPool
from ragwheel.reembed.embed_shard import EmbeddedTexts, ShardTask, embed_shard

RunnerName = Literal["local", "ray"]


class Runner(Protocol):
    """Embeds shards."""

    @property
    def name(self) -> str:
        """What is noted beside a shard."""

    def run(self, tasks: Sequence[ShardTask]) -> Iterator[tuple[int, EmbeddedTexts]]:
        """(place of the task, vectors) in the order in which they are finished, each once.

        Args:
            tasks: read when they are due, in the thread that iterates; again, if who had one died.
        """


class LocalRunner:
    """This process, or a pool of processes that load the model each."""

    name = "local"

    def __init__(
        self, encoder: Encoder, workers: int = 1, again: Callable[[], Encoder] | None = None
    ) -> None:
        """
        Args:
            again: loads an equal encoder in a process of the pool.
        """
        self._encoder, self._workers, self._again = encoder, workers, again

    def run(self, tasks: Sequence[ShardTask]) -> Iterator[tuple[int, EmbeddedTexts]]:
        """See `Runner`."""
        if self._workers > 1 and len(tasks) > 1 and self._again is not None:
            yield from run_parts(tasks, self._again, embed_shard, self._workers)
            return
        for at in range(len(tasks)):
            yield at, embed_shard(self._encoder, tasks[at])


class RayRunner:
    """Actors of a Ray cluster, each with the model."""

    name = "ray"

    def __init__(
        self, again: Callable[[], Encoder], workers: int, gpus: float = 0.0, cpus: int | None = None
    ) -> None:
        """
        Args:
            gpus, cpus: see `RayPool`, which says what it raises.
        """
        self._pool, self._again, self._workers = RayPool(gpus, cpus), again, workers

    def run(self, tasks: Sequence[ShardTask]) -> Iterator[tuple[int, EmbeddedTexts]]:
        """See `Runner`."""
        return self._pool.run(tasks, self._again, embed_shard, self._workers)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._pool.close()
