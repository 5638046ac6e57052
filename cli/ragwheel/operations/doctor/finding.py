"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ragwheel.schemas.errors import RagwheelError

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        subject: what was checked, two or three words.
        level: `fail` is in the way of something that is installed or configured; `warn` limits
            what can be done.
        detail: what was found, with values.
        fix: what to do; empty when ok.
    """

    subject: str
    level: Level
    detail: str
    fix: str = ""


def ok(subject: str, detail: str) -> Finding:
    """All is well."""
    return Finding(subject, "ok", detail)


def warn(subject: str, detail: str, fix: str) -> Finding:
    """Something cannot be done, and that may be fine."""
    return Finding(subject, "warn", detail, fix)


def fail(subject: str, detail: str, fix: str) -> Finding:
    """Something is broken."""
    return Finding(subject, "fail", detail, fix)


def failed(subject: str, error: RagwheelError) -> Finding:
    """An error of ours: what is wrong, and behind its last colon what to do."""
    problem, _, fix = str(error).rpartition(": ")
    return fail(subject, problem or str(error), fix)
