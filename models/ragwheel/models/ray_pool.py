"""Work on parts by actors of a Ray cluster, each with what it loaded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ragwheel.schemas.errors import DependencyError, UnavailableError

Part = TypeVar("Part")
Loaded = TypeVar("Loaded")
Result = TypeVar("Result")

#: Parts that wait at each worker, so that none idles while a result is stored.
_AHEAD = 2


class RayPool:
    """Actors of a Ray cluster; Ray starts one again that died, and its part is done again."""

    def __init__(self, gpus: float = 0.0, cpus: int | None = None) -> None:
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
        self._ray, self._gpus = ray, gpus
        self._started = not ray.is_initialized()
        if self._started:
            try:
                ray.init(num_cpus=cpus, log_to_driver=False, configure_logging=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise UnavailableError(f"Ray cannot be reached ({str(error)[:200]})") from None

    def run(
        self,
        parts: Sequence[Part],
        load: Callable[[], Loaded],
        work: Callable[[Loaded, Part], Result],
        workers: int,
    ) -> Iterator[tuple[int, Result]]:
        """As `embedding_pool.run_parts`; results travel, so workers need no folder of this machine.

        Args:
            load: called once in each actor; what it reads must be readable there.
        """
        ray = self._ray
        actor: Any = ray.remote(
            num_cpus=1, num_gpus=self._gpus, max_restarts=-1, max_task_retries=-1
        )(_Worker)  # fmt: skip
        actors = [actor.remote(load, work) for _ in range(min(workers, len(parts)))]
        running: dict[Any, tuple[int, Any]] = {}
        waiting = iter(range(len(parts)))

        def give(worker: Any) -> None:
            if (at := next(waiting, None)) is not None:
                running[worker.do.remote(parts[at])] = (at, worker)

        try:
            for _ in range(_AHEAD):
                for worker in actors:
                    give(worker)
            while running:
                (ready,), _ = ray.wait(list(running))
                at, worker = running.pop(ready)
                result: Result = ray.get(ready)
                give(worker)
                yield at, result
        finally:
            for worker in actors:
                ray.kill(worker)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._started:
            self._ray.shutdown()


class _Worker:
    """What runs in an actor: one model, part after part."""

    def __init__(self, load: Callable[[], Any], work: Callable[[Any, Any], Any]) -> None:
        self._loaded, self._work = load(), work

    def do(self, part: Any) -> Any:
        return self._work(self._loaded, part)
