"""A name in each real vector store, and what a service that searches it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

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
    """

    index: Index
    own: Callable[[Sequence[str], Vectors], str]
    open_search: Callable[[], AbstractContextManager[Search]]
    columns: Callable[[str], dict[str, str]]


def unit(rows: int, dimension: int, seed: int = 7) -> Vectors:
    """Random unit vectors."""
    made = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def points(ids: Sequence[str], fingerprint: str, vectors: Vectors) -> Points:
    """Chunks whose texts are left to the service."""
    return Points(
        ids, [f"{row:032x}" for row in range(len(ids))], SpaceVectors(fingerprint, vectors)
    )


@dataclass
class SearchLoad:
    """A thread that searches all the time; what failed is kept."""

    open_search: Callable[[], AbstractContextManager[Search]]
    query: Vectors
    done: int = 0
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._search, daemon=True)
        self._thread.start()
        assert self._began.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def more(self, count: int) -> None:
        """Wait until so many further searches were made."""
        wanted = self.done + count
        while self.done < wanted and not self.failed and self._thread.is_alive():
            self._stop.wait(0.005)

    def _search(self) -> None:
        with self.open_search() as search:
            while not self._stop.is_set():
                try:
                    if not search(self.query):
                        self.failed.append("nothing was found")
                except Exception as error:  # noqa: BLE001 - each is a failed search
                    self.failed.append(f"{type(error).__name__}: {error}")
                self.done += 1
                self._began.set()
