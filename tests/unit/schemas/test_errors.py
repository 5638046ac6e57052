"""The class of an error decides what happens next, and with which exit status a command ends."""

from __future__ import annotations

import pytest

from ragwheel.schemas import errors
from ragwheel.schemas.errors import (
    ConfigError,
    DependencyError,
    InvalidEventError,
    RagwheelError,
    TerminalError,
    TransientError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (RagwheelError, 1),
        (TerminalError, 1),
        (TransientError, 75),
        (UnavailableError, 69),
        (ConfigError, 78),
        (DependencyError, 78),
        (InvalidEventError, 65),
    ],
)
def test_exit_statuses_are_those_of_sysexits(kind: type[RagwheelError], status: int) -> None:
    assert kind.exit_code == status


def test_every_error_is_either_worth_another_try_or_not() -> None:
    family = [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, RagwheelError)
        and value is not RagwheelError
    ]
    assert len(family) == 6
    for kind in family:
        assert issubclass(kind, TransientError) != issubclass(kind, TerminalError)


def test_messages_name_the_thing_and_the_fix() -> None:
    missing = DependencyError("chdb", "pip install it")
    assert str(missing) == "chdb is not available: pip install it"
    invalid = InvalidEventError("oversize", "2 bytes")
    assert (str(invalid), invalid.reason, invalid.detail) == (
        "oversize: 2 bytes",
        "oversize",
        "2 bytes",
    )
