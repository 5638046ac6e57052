"""How a re-embedding stands, and what may be done to it. Pure.

planned → running → built → verified → cut over → retired
              ↑        ↑         ↓         ↓
              └────────┴──── (more)   rolled back → verified …
aborted: from wherever the new build is not searched
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from ragwheel.reembed.indexes.contracts import IndexBuild
from ragwheel.schemas import identity
from ragwheel.schemas.errors import TerminalError

ReembedState = Literal[
    "planned", "running", "built", "verified", "cut over", "rolled back", "retired", "aborted"
]
ReembedAction = Literal["run", "verify", "cutover", "rollback", "abort", "retire"]

_ID_CHARS = 16
#: In these nothing is left to do, and another re-embedding of the index may begin.
ENDED: frozenset[ReembedState] = frozenset({"retired", "aborted"})
#: Action → states in which it does something.
_MAY: Mapping[ReembedAction, frozenset[ReembedState]] = {
    "run": frozenset({"planned", "running", "built", "verified", "cut over"}),
    "verify": frozenset({"built", "verified", "rolled back"}),
    "cutover": frozenset({"verified", "cut over"}),
    # Verified, too: who was killed in a cutover may have moved the name and not said so.
    "rollback": frozenset({"verified", "cut over"}),
    "abort": frozenset({"planned", "running", "built", "verified", "rolled back"}),
    "retire": frozenset({"cut over"}),
}
#: Action → the state that it leads to: there it was done before.
_LEADS_TO: Mapping[ReembedAction, ReembedState] = {
    "rollback": "rolled back", "abort": "aborted", "retire": "retired",
}  # fmt: skip
#: What to do next, for people.
NEXT: Mapping[ReembedState, str] = {
    "planned": "`ragwheel reembed run` builds it",
    "running": "`ragwheel reembed run` goes on with it",
    "built": "`ragwheel reembed verify` compares it with what is searched",
    "verified": "`ragwheel reembed cutover` lets searches find it",
    "cut over": "`ragwheel reembed rollback` goes back; `ragwheel reembed retire` drops the old "
    "build",
    "rolled back": "`ragwheel reembed verify` tries again; `ragwheel reembed abort` drops it",
    "retired": "nothing is left to do",
    "aborted": "nothing is left to do",
}


class ReembedRefusedError(TerminalError):
    """What was asked would be wrong, or has nothing to work on; the message has the fix."""


@dataclass(frozen=True, slots=True)
class Reembed:
    """One re-embedding, as its newest row says.

    Attributes:
        step: counts the changes of state.
        ts: when the state was reached, UTC.
        by: who did it.
        reason: given with `--force`, an abort or a rollback.
        from_version, from_fingerprint, from_physical: the build that is replaced: as it is
            declared, whose vectors it holds, and its name in the store (empty: it has none).
        version, physical: the same of the new build.
        store: where the store is, without credentials.
        target: name or folder of the model, or id of a registered one.
        document_fingerprint, dimension, document_prompt, query_prompt, max_seq_length: of its
            document encoder, as it was planned.
        chunks, tokens, hours, uncertainty, usd_per_hour, machines: what the plan foresaw; the
            uncertainty is a share of the hours.
        findings: of the last verification, JSON; empty: there was none.
    """

    reembed_id: str
    step: int
    state: ReembedState
    ts: datetime
    by: str
    reason: str
    index: str
    from_version: str
    from_fingerprint: str
    from_physical: str
    version: str
    physical: str
    store: str
    target: str
    document_fingerprint: str
    dimension: int
    document_prompt: str
    query_prompt: str
    max_seq_length: int
    chunks: int = 0
    tokens: int = 0
    hours: float = 0.0
    uncertainty: float = 0.0
    usd_per_hour: float = 0.0
    machines: int = 1
    findings: str = ""

    @property
    def build(self) -> IndexBuild:
        """The new build in the store."""
        return IndexBuild(
            self.physical, self.document_fingerprint, self.dimension, self.from_physical
        )

    @property
    def old_build(self) -> IndexBuild | None:
        """The build that is replaced; None: the store has none."""
        if not self.from_physical:
            return None
        return IndexBuild(self.from_physical, self.from_fingerprint, 0)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in ENDED

    def moved(
        self, state: ReembedState, at: datetime, by: str, reason: str = "", **changes: Any
    ) -> Reembed:
        """The next row."""
        return replace(
            self, step=self.step + 1, state=state, ts=at, by=by, reason=reason, **changes
        )


def reembed_id(index: str, version: str, fingerprint: str) -> str:
    """Equal plans are one re-embedding."""
    return identity.digest("reembed", index, version, fingerprint)[:_ID_CHARS]


def allowed(reembed: Reembed, action: ReembedAction) -> bool:
    """Whether an action has something to do; False: it was done before.

    Raises:
        ReembedRefusedError: it cannot be done in this state; says what can.
    """
    if reembed.state in _MAY[action]:
        return True
    if reembed.state == _LEADS_TO.get(action):
        return False
    raise ReembedRefusedError(
        f"re-embedding {reembed.reembed_id} is {reembed.state}, and `ragwheel reembed {action}` "
        f"needs it {' or '.join(each for each in _STATES if each in _MAY[action])}: "
        f"{NEXT[reembed.state]}"
    )


def free_version(wanted: str, taken: set[str]) -> str:
    """A name for the new build that no build of the index has had."""
    if wanted not in taken:
        return wanted
    return next(name for n in range(2, len(taken) + 3) if (name := f"{wanted}_{n}") not in taken)


_STATES: tuple[ReembedState, ...] = get_args(ReembedState)
