"""What the grader knows before it pays: grades given earlier, and texts of chunks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from ragwheel.schemas.events import Grade


class LabelStore(Protocol):
    """Where earlier labels and chunk texts can be read.

    Methods never raise. An unreachable store may answer `graded` with less, which costs money and
    loses nothing, because label rows are idempotent.
    """

    async def graded(self, label_ids: Collection[str]) -> Mapping[str, Grade]:
        """Grades of those labels that are `graded`."""

    async def texts(self, chunk_hashes: Collection[str]) -> Mapping[str, str]:
        """Texts of those chunks that are known. May wait for an unreachable store."""


class MemoryStore:
    """A `LabelStore` of two dictionaries, for tests and for grading without a database."""

    def __init__(
        self, grades: Mapping[str, Grade] | None = None, texts: Mapping[str, str] | None = None
    ) -> None:
        """Holds what it is given; mutable by its owner."""
        self.grades: dict[str, Grade] = dict(grades or {})
        self.chunks: dict[str, str] = dict(texts or {})

    async def graded(self, label_ids: Collection[str]) -> Mapping[str, Grade]:
        """Grades of those labels that are held."""
        return {each: self.grades[each] for each in label_ids if each in self.grades}

    async def texts(self, chunk_hashes: Collection[str]) -> Mapping[str, str]:
        """Texts of those chunks that are held."""
        return {each: self.chunks[each] for each in chunk_hashes if each in self.chunks}
