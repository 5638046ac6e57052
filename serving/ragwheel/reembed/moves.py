"""What changes the state of a re-embedding. Each move may be made again after a crash anywhere.

A move does its work first and says so in ClickHouse last; what it does is idempotent. So whoever is
killed finds the state from before, and does again what was done, to no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
from pydantic import TypeAdapter

from ragwheel.reembed.filling import Building
from ragwheel.reembed.indexes.contracts import Index, IndexBuild, Points, SpaceVectors
from ragwheel.reembed.shards import Totals
from ragwheel.reembed.states import Reembed, ReembedRefusedError, ReembedState, allowed
from ragwheel.reembed.store import ReembedStore
from ragwheel.reembed.verification import BuildEncoders, Findings, count_problems, verify_build
from ragwheel.schemas.events import IndexEvent

_FINDINGS = TypeAdapter(Findings)
#: Ids that a store is told at once.
_AT_ONCE = 1_000


class Steps(Protocol):
    """What moves write besides shards (`store.ReembedStore`, which says what each does)."""

    def save(self, reembed: Reembed) -> None: ...
    def declaration(self, index: str, version: str) -> IndexEvent | None: ...
    def copy_entries(self, reembed: Reembed) -> int: ...
    def came_since(self, reembed: Reembed, version: str, other: str) -> int: ...
    def deleted_ids(self, reembed: Reembed) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Moves:
    """The moves of one person at one index.

    Attributes:
        publish: returns when the event is durable.
        by: who moves.
    """

    steps: Steps
    index: Index
    publish: Callable[[IndexEvent], None]
    by: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self, reembed: Reembed, building: Building) -> Reembed:
        """Build, or go on with it, or take in what came since."""
        allowed(reembed, "run")
        if reembed.state == "planned":
            reembed = self._save(reembed.moved("running", self.now(), self.by))
        building.catch_up()
        if reembed.state == "cut over":
            self.steps.copy_entries(reembed)
        elif reembed.state == "running":
            reembed = self._save(reembed.moved("built", self.now(), self.by))
        return reembed

    def verify(
        self, reembed: Reembed, building: Building, asked: ReembedStore, sides: BuildEncoders,
        tolerance: float, force: str,
    ) -> tuple[Reembed, Findings]:  # fmt: skip
        """Catch up, look, and let it be cut over if nothing stands against it.

        Args:
            force: the reason for which problems are accepted; empty: they are not.
        """
        allowed(reembed, "verify")
        totals = building.catch_up()
        found = verify_build(asked, self.index, reembed, totals, sides, tolerance)
        said = _FINDINGS.dump_json(found).decode()
        state: ReembedState = "verified" if force or not found.problems else "built"
        if reembed.state == "rolled back" and state == "built":
            return reembed, found
        reason = force if found.problems else ""
        moved = reembed.moved(state, self.now(), self.by, reason, findings=said)
        return self._save(moved), found

    def cutover(self, reembed: Reembed, building: Building) -> Reembed:
        """Catch up, let searches find the new build, declare it, and catch up once more.

        Raises:
            ReembedRefusedError: counts went wrong since the verification.
        """
        allowed(reembed, "cutover")
        if reembed.state == "verified":
            self._recount(reembed, building.catch_up())
            self.index.point(reembed.build, reembed.from_physical)
            self._declare_new(reembed, self.steps.copy_entries(reembed), complete=True)
            reembed = self._save(reembed.moved("cut over", self.now(), self.by, reembed.reason))
        building.catch_up()
        self.steps.copy_entries(reembed)
        return reembed

    def rollback(self, reembed: Reembed, reason: str) -> tuple[Reembed, int]:
        """Let searches find the old build again, without what was deleted since, and declare it.

        Returns:
            Besides, how many chunks came to the new build alone: the old one lacks them.

        Raises:
            ReembedRefusedError: there is no old build, or the new one is not searched.
        """
        if not allowed(reembed, "rollback"):
            return reembed, 0
        if reembed.old_build is None:
            raise ReembedRefusedError(
                f"{reembed.physical} is the first build of {reembed.store}: there is none to go "
                "back to"
            )
        if reembed.state == "verified" and self.index.serving() != reembed.physical:
            raise ReembedRefusedError(f"{reembed.physical} is not searched: nothing to roll back")
        self._clean(reembed.old_build, self.steps.deleted_ids(reembed), reembed.dimension)
        self.index.point(reembed.old_build, reembed.physical)
        came = self.steps.came_since(reembed, reembed.version, reembed.from_version)
        self._declare_new(reembed, 0, complete=False)
        self._declare_old(reembed)
        return self._save(reembed.moved("rolled back", self.now(), self.by, reason)), came

    def _clean(self, build: IndexBuild, gone: Sequence[str], dimension: int) -> None:
        """Take chunks out of a build that nobody kept up to date while another was searched."""
        nothing = SpaceVectors(build.fingerprint, np.zeros((0, dimension), np.float32))
        for at in range(0, len(gone), _AT_ONCE):
            self.index.upsert(build, Points([], [], nothing), gone[at : at + _AT_ONCE])

    def abort(self, reembed: Reembed, reason: str) -> Reembed:
        """Drop the new build.

        Raises:
            IndexRefusedError: it is searched.
        """
        if not allowed(reembed, "abort"):
            return reembed
        self.index.drop(reembed.build)
        return self._save(reembed.moved("aborted", self.now(), self.by, reason))

    def retire(self, reembed: Reembed) -> Reembed:
        """Drop the old build: from here there is no way back.

        Raises:
            IndexRefusedError: it is searched.
        """
        if not allowed(reembed, "retire"):
            return reembed
        if reembed.old_build is not None:
            self.index.drop(reembed.old_build)
        return self._save(reembed.moved("retired", self.now(), self.by))

    def _save(self, reembed: Reembed) -> Reembed:
        self.steps.save(reembed)
        return reembed

    def _recount(self, reembed: Reembed, totals: Totals) -> None:
        """What was accepted at the verification is accepted; what went wrong since is not."""
        accepted = _FINDINGS.validate_json(reembed.findings).problems if reembed.findings else ()
        stored = self.index.verify(reembed.build, None).count
        problems = [each for each in count_problems(totals, stored, None) if each not in accepted]
        if problems:
            raise ReembedRefusedError(
                f"{problems[0]}. That is new since the verification: `ragwheel reembed verify`"
            )

    def _declare_new(self, reembed: Reembed, chunks: int, *, complete: bool) -> None:
        self.publish(
            IndexEvent(
                index=reembed.index, index_version=reembed.version, ts=self.now(),
                complete=complete, chunks=chunks, embedding_model=reembed.target,
                document_fingerprint=reembed.document_fingerprint, prompt=reembed.document_prompt,
                max_seq_length=reembed.max_seq_length,
            )
        )  # fmt: skip

    def _declare_old(self, reembed: Reembed) -> None:
        said = self.steps.declaration(reembed.index, reembed.from_version)
        if said is not None:
            again = {"ts": self.now(), "complete": True, "event_id": ""}
            self.publish(IndexEvent(**{**said.model_dump(), **again}))
