"""Where shards are embedded: in this process, in a pool of processes, or on Ray.

A runner forgets everything: what is done is in ClickHouse. So a process that is killed costs the
shard that it had in hand, whoever started it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol

from ragwheel.models.embedding_pool import run_parts
from ragwheel.models.encoder import Encoder
from ragwheel.reembed.embed_shard import EmbeddedTexts, ShardTask, embed_shard
from ragwheel.schemas.errors import DependencyError, UnavailableError

RunnerName = Literal["local", "ray"]
#: Shards that wait at each of Ray's workers, so that none idles while one is stored.
_AHEAD = 2


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
    """Actors of a Ray cluster, each with the model; Ray starts one again that died."""

    name = "ray"

    def __init__(
        self, again: Callable[[], Encoder], workers: int, gpus: float = 0.0, cpus: int | None = None
    ) -> None:
        """Connects to the cluster of RAY_ADDRESS, or starts one here.

        Args:
            gpus: of each worker.
            cpus: of a cluster that is started here; None: all.

        Raises:
            DependencyError: Ray is not installed.
            UnavailableError: there is no such cluster.
        """
        try:
            import ray
        except ImportError:
            raise DependencyError("ray", "pip install 'ragwheel[ray]'") from None
        self._ray, self._again, self._workers, self._gpus = ray, again, workers, gpus
        self._started = not ray.is_initialized()
        if self._started:
            try:
                ray.init(num_cpus=cpus, log_to_driver=False, configure_logging=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise UnavailableError(f"Ray cannot be reached ({str(error)[:200]})") from None

    def run(self, tasks: Sequence[ShardTask]) -> Iterator[tuple[int, EmbeddedTexts]]:
        """See `Runner`."""
        ray = self._ray
        actor: Any = ray.remote(
            num_cpus=1, num_gpus=self._gpus, max_restarts=-1, max_task_retries=-1
        )(_Embedder)  # fmt: skip
        actors = [actor.remote(self._again) for _ in range(min(self._workers, len(tasks)))]
        running: dict[Any, tuple[int, Any]] = {}
        waiting = iter(range(len(tasks)))

        def give(worker: Any) -> None:
            if (at := next(waiting, None)) is not None:
                running[worker.embed.remote(tasks[at])] = (at, worker)

        try:
            for _ in range(_AHEAD):
                for worker in actors:
                    give(worker)
            while running:
                (ready,), _ = ray.wait(list(running))
                at, worker = running.pop(ready)
                result: EmbeddedTexts = ray.get(ready)
                give(worker)
                yield at, result
        finally:
            for worker in actors:
                ray.kill(worker)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._started:
            self._ray.shutdown()


class _Embedder:
    """What runs in an actor: one model, shard after shard."""

    def __init__(self, again: Callable[[], Encoder]) -> None:
        self._encoder = again()

    def embed(self, task: ShardTask) -> EmbeddedTexts:
        return embed_shard(self._encoder, task)
