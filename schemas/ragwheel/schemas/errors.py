"""The error family. The class decides what happens next; nobody matches on message text.

Every message names the thing, the value, and the fix, because the reader is usually on call.
"""

from __future__ import annotations


class RagwheelError(Exception):
    """Root of every error that ragwheel raises on purpose."""

    #: Exit status of a command that ends with this error (see docs/cli.md).
    exit_code = 1


class TransientError(RagwheelError):
    """Worth trying again later: the input is fine, a dependency is not."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class UnavailableError(TransientError):
    """A broker, database or LLM endpoint does not answer, or is not prepared for us."""

    exit_code = 69  # EX_UNAVAILABLE


class TerminalError(RagwheelError):
    """Trying again cannot help; somebody has to change something."""


class ConfigError(TerminalError):
    """A setting is missing or wrong. The message names the setting and the fix."""

    exit_code = 78  # EX_CONFIG


class DependencyError(TerminalError):
    """A package or program that this command needs is not installed."""

    exit_code = 78

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what} is not available: {fix}")


class InvalidEventError(TerminalError):
    """A message cannot be used and belongs into the dead-letter topic.

    Args:
        reason: one of `ragwheel.schemas.events.DeadLetterReason`.
        detail: what is wrong, naming the field and the value.
    """

    exit_code = 65  # EX_DATAERR

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
