"""What a vector store can do for a re-embedding: five verbs, and a look at what is searched.

A store holds *builds* (a table, a collection, an index …) and a name that services search, which
points to one of them. Each build carries the fingerprint of the encoder that made its vectors, in
the store itself, and takes no others: models of one dimension are told apart by nothing else.

What the searched build keeps beside a vector (texts, metadata, other columns) goes along inside the
store, so that a service finds after the switch what it found before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ragwheel.models.encoder import Vectors
from ragwheel.schemas.errors import TerminalError

#: PostgreSQL cuts longer names off; all of these letters are good in every store.
_MAX_NAME = 63


class IndexRefusedError(TerminalError):
    """What was asked of a store would be wrong; the message names the build and the fix."""


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """One build in a store.

    Attributes:
        physical: its own name there.
        fingerprint: of the encoder of its documents.
        dimension: of its vectors; 0 where nobody said (a build that ragwheel did not make).
        like: physical name of the build that it replaces, after which it is made; empty: there is
            none, and nothing beside the vectors but what ragwheel writes.
    """

    physical: str
    fingerprint: str
    dimension: int
    like: str = ""


@dataclass(frozen=True, slots=True)
class SpaceVectors:
    """Vectors, and the fingerprint of the encoder that made them."""

    fingerprint: str
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Points:
    """Chunks with their vectors.

    Attributes:
        ids: no two alike.
        hashes: content hash of each, stored beside it where the build has a place for it.
        texts: stored as well, likewise; None: texts are left to the service.
    """

    ids: Sequence[str]
    hashes: Sequence[str]
    vectors: SpaceVectors
    texts: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What a build holds.

    Attributes:
        count: chunks.
        hits: chunk ids of each query, nearest first.
    """

    count: int
    hits: Sequence[Sequence[str]]


class Index(Protocol):
    """A name in a vector store, with its builds. Not thread-safe.

    Every verb may be called again after a crash at any point and then finishes what was begun. All
    raise UnavailableError when the store does not answer, and IndexRefusedError as said.
    """

    @property
    def display(self) -> str:
        """Where it is, without credentials."""

    def create(self, build: IndexBuild) -> None:
        """Make an empty build; one that is there stays as it is.

        Raises:
            IndexRefusedError: one of another fingerprint has that name, or the store cannot hold
                such vectors.
        """

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """Put chunks in, over those of the same id, and take `gone` out; durable on return.

        What a service keeps beside a vector comes from the build that is searched, since services
        write there. A chunk that it lacks is not taken by a build that has a `like`; it may be
        offered again.

        Returns:
            Chunks that the store does not take, with the reason; the others are in.

        Raises:
            IndexRefusedError: the vectors are of another encoder than the build.
        """

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Holding:
        """Finish what searches need, count, and search this build, whoever else is searched.

        Raises:
            IndexRefusedError: the queries are of another encoder, or there is no such build.
        """

    def point(self, build: IndexBuild, before: str) -> None:
        """Let the name lead to this build, in one step for everyone who searches.

        Args:
            before: physical name of the build that it leads to now; empty: to none.

        Raises:
            IndexRefusedError: it leads elsewhere by now, or cannot be moved.
        """

    def drop(self, build: IndexBuild) -> None:
        """Remove a build; one that is not there is removed.

        Raises:
            IndexRefusedError: it is searched, or of another fingerprint.
        """

    def serving(self) -> str:
        """Physical name of the build that is searched; empty: none."""

    def close(self) -> None:
        """Let go of the store."""


def physical_name(name: str, version: str) -> str:
    """What a version of an index is called in a store: a-z, 0-9 and `_`, 63 at most, one to one."""
    said = f"{name}__{version}"
    made = re.sub(r"[^a-z0-9_]", "_", said.lower())
    if made == said and len(made) <= _MAX_NAME:
        return made
    digest = hashlib.sha256(said.encode()).hexdigest()[:8]
    return f"{made[: _MAX_NAME - 9]}_{digest}"


def check_space(build: IndexBuild, given: SpaceVectors) -> None:
    """Refuse vectors of another encoder, whatever their dimension.

    Raises:
        IndexRefusedError: names both fingerprints.
    """
    if given.fingerprint != build.fingerprint:
        raise IndexRefusedError(
            f"vectors of {given.fingerprint or 'an unknown encoder'} do not belong into "
            f"{build.physical}, which holds those of {build.fingerprint}: encode them with the "
            "model of that build"
        )
    if build.dimension and given.vectors.shape[1] != build.dimension:
        raise IndexRefusedError(
            f"vectors of {given.vectors.shape[1]} dimensions do not fit {build.physical} "
            f"({build.dimension}): the model changed and kept its fingerprint?"
        )


def check_stored(build: IndexBuild, stored: str | None) -> None:
    """Refuse a build whose store says that it is another.

    Args:
        stored: the fingerprint in the store; empty: ragwheel did not make it; None: it is missing.

    Raises:
        IndexRefusedError: with both.
    """
    if stored is None:
        raise IndexRefusedError(
            f"there is no {build.physical} in the store: `ragwheel reembed run` makes it"
        )
    if stored and stored != build.fingerprint:
        raise IndexRefusedError(
            f"{build.physical} holds vectors of {stored}, not of {build.fingerprint}: choose "
            "another --version"
        )


def check_made(build: IndexBuild, stored: str) -> None:
    """Refuse to fill what lies under a new build's name and is none.

    Raises:
        IndexRefusedError: it is of another encoder, or ragwheel did not make it.
    """
    check_stored(build, stored)
    if not stored:
        raise IndexRefusedError(
            f"{build.physical} is there, and ragwheel did not make it: choose another --version"
        )


def source_of(build: IndexBuild, serving: str) -> str:
    """The build that has what is kept beside the vectors: the searched one, if not itself."""
    return (serving or build.like) if build.like else build.physical


def not_in(source: str) -> str:
    """Why a chunk is not taken that the searched build lacks."""
    return f"not in {source}, whose other columns it takes over: it can come once it is there"


def check_move(alias: str, now: str, before: str) -> None:
    """Refuse to move a name that somebody else moved.

    Raises:
        IndexRefusedError: with where it leads and where it should.
    """
    if now != before:
        raise IndexRefusedError(
            f"{alias} leads to {now or 'nothing'} and not to {before or 'nothing'}: somebody moved "
            "it; look at `ragwheel reembed status`, then abort and plan again"
        )


def check_droppable(build: IndexBuild, serving: str) -> None:
    """Refuse to remove what is searched.

    Raises:
        IndexRefusedError: with the way out.
    """
    if serving == build.physical:
        raise IndexRefusedError(
            f"{build.physical} is searched; `ragwheel reembed rollback` or `cutover` first"
        )
