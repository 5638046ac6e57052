"""Which build of an index is its corpus. Pure.

1. The newest build that was declared complete and has all its chunks. Newest is the declaration,
   so whoever declares an older build again goes back to it.
2. Where there is none, the build that most of the newest retrievals name.
3. Where they name none that is there, the build with the newest chunk.

In 2 and 3 a build that was declared and is not complete counts only if there is no other. So a
build that is under way never replaces the one that is searched: by declaration until it is
complete, without any declaration until searches name it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ragwheel.trainers.data.records import DeclaredIndex


@dataclass(frozen=True, slots=True)
class Declaration:
    """The newest that was said of a build.

    Attributes:
        complete: it is finished.
        chunks: how many it should have.
    """

    ts: datetime
    complete: bool
    chunks: int
    about: DeclaredIndex


@dataclass(frozen=True, slots=True)
class Build:
    """One version of one index as it landed.

    Attributes:
        came: chunks that ever landed, deleted ones included: deleting makes nothing incomplete.
        newest: time of the newest chunk.
    """

    index: str
    version: str
    came: int
    newest: datetime
    said: Declaration | None = None

    @property
    def complete(self) -> bool:
        """Whether it was declared so, and everything is there."""
        return self.said is not None and self.said.complete and self.came >= self.said.chunks


@dataclass(frozen=True, slots=True)
class Named:
    """How many of a segment's newest retrievals name this build of this index."""

    segment: str
    index: str
    version: str
    retrievals: int
    newest: datetime


def corpus_builds(builds: Iterable[Build], named: Sequence[Named]) -> dict[str, Build]:
    """The build that is the corpus, by name of the index."""
    by_index: dict[str, list[Build]] = {}
    for build in builds:
        by_index.setdefault(build.index, []).append(build)
    return {index: _chosen(by_index[index], named) for index in sorted(by_index)}


def index_of_segments(named: Iterable[Named]) -> Mapping[str, str]:
    """The index that most of a segment's newest retrievals name, by segment."""
    votes: dict[str, Counter[str]] = {}
    newest: dict[tuple[str, str], datetime] = {}
    for each in named:
        votes.setdefault(each.segment, Counter())[each.index] += each.retrievals
        key = (each.segment, each.index)
        newest[key] = max(each.newest, newest.get(key, each.newest))
    return {
        segment: max(of, key=lambda index: (of[index], newest[segment, index]))
        for segment, of in sorted(votes.items())
    }


def _chosen(builds: Sequence[Build], named: Sequence[Named]) -> Build:
    complete = {
        (each.said.ts, each.version): each for each in builds if each.said and each.complete
    }
    if complete:
        return complete[max(complete)]
    able = [each for each in builds if each.said is None] or builds
    votes = Counter[str]()
    for each in named:
        if each.index == able[0].index:
            votes[each.version] += each.retrievals
    return max(able, key=lambda each: (votes[each.version], each.newest, each.version))
