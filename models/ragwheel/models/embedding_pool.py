"""Embedding with several processes, for what takes hours in one.

A part of the texts is a task; whoever finishes one has written its vectors before it says so. So a
process that is killed costs its part and nothing else: the pool is started again for what is left,
and so does a later run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from ragwheel.schemas.errors import UnavailableError

_LOG = logging.getLogger(__name__)

Part = TypeVar("Part")
Loaded = TypeVar("Loaded")
Result = TypeVar("Result")

#: Parts that wait in the pool per process: enough that none idles, few enough that what is sent
#: ahead takes no memory to speak of.
_AHEAD = 2
#: Pools in a row that may end without a finished part.
_FRUITLESS = 2

_loaded: Any = None


def run_parts(
    parts: Sequence[Part],
    load: Callable[[], Loaded],
    work: Callable[[Loaded, Part], Result],
    workers: int,
) -> Iterator[tuple[int, Result]]:
    """Do `work` on each part in one of `workers` processes; yields (number of the part, result).

    Parts come in the order in which they are finished, each once; one that a killed process had
    finished and not handed over is done again.

    Args:
        load: called once in each process, with its share of the cores; must be picklable, as must
            `work`, the parts and the results.

    Raises:
        UnavailableError: processes end again and again before they finish anything.
        Exception: what `work` or `load` raised, as it was.
    """
    left = list(range(len(parts)))
    fruitless = 0
    while left:
        before = len(left)
        try:
            for finished, result in _one_pool(parts, left, load, work, workers):
                left.remove(finished)
                yield finished, result
        except BrokenProcessPool:
            fruitless = 0 if len(left) < before else fruitless + 1
            if fruitless == _FRUITLESS:
                raise UnavailableError(
                    f"the {workers} processes that embed are ended before they finish anything: "
                    "out of memory? Use fewer (RAGWHEEL_EMBED_WORKERS)"
                ) from None
            _LOG.warning("a process that embeds was ended; %d parts are left", len(left))


def _one_pool(
    parts: Sequence[Part],
    left: Sequence[int],
    load: Callable[[], Loaded],
    work: Callable[[Loaded, Part], Result],
    workers: int,
) -> Iterator[tuple[int, Result]]:
    """Finished parts, until all are, or a process is gone (BrokenProcessPool)."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    # Spawned: a forked child inherits locks of the threads of torch, and hangs.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (load, threads))
    running: dict[Future[Result], int] = {}
    waiting = iter(list(left))
    try:
        while True:
            while len(running) < _AHEAD * workers and (at := next(waiting, None)) is not None:
                running[pool.submit(_task, work, parts[at])] = at
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(load: Callable[[], Any], threads: int) -> None:
    """Begin a process of the pool: its own model on its own cores."""
    global _loaded
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch when `load` imports it
    _loaded = load()


def _task(work: Callable[[Any, Any], Result], part: Any) -> Result:
    return work(_loaded, part)
