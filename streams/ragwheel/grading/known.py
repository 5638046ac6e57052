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

    async def graded(self, query_hash: str, label_ids: Collection[str]) -> Mapping[str, Grade]:
        """Grades of those labels of this query that are `graded`."""

    async def texts(self, chunk_hashes: Collection[str]) -> Mapping[str, str]:
        """Texts of those chunks that are known. May wait for an unreachable store."""
