"""The accounts worker outlives every outage, and nothing else silently."""

from __future__ import annotations

import logging

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from urllib3.exceptions import ProtocolError

from ragwheel.accounting.process import keep_current
from ragwheel.accounting.reader import Groups
from ragwheel.schemas.errors import ConfigError, UnavailableError
from ragwheel.schemas.settings import AccountsSettings, GraderSettings, IntakeSettings


class Script:
    """Plays one outcome per refresh, and asks the process to end after the last."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self._left = list(outcomes)
        self.waits: list[float] = []

    def refresh(self) -> None:
        outcome = self._left.pop(0)
        if outcome is not None:
            raise outcome

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return not self._left


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_accounts_are_read_at_once_and_then_at_the_interval(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(None, None, None)
    keep_current(script.refresh, 5.0, script.wait)
    assert script.waits == [5.0] * 3
    assert told(caplog) == []


def test_an_outage_is_told_when_it_begins_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(
        UnavailableError("kafka is away"), DatabaseError("no such table"),
        ProtocolError("connection broken"), ConnectionResetError(), None, None,
    )  # fmt: skip
    keep_current(script.refresh, 0.5, script.wait)
    assert len(script.waits) == 6
    assert told(caplog) == [
        "accounts cannot be read, their gauges stand still: kafka is away",
        "accounts are read again",
    ]


@pytest.mark.parametrize("fault", [ValueError("a bug"), ConfigError("password refused")])
def test_what_no_waiting_repairs_ends_the_process(fault: Exception) -> None:
    with pytest.raises(type(fault)):
        keep_current(Script(None, fault, None).refresh, 0.0, lambda _: False)


def test_every_process_means_the_same_groups() -> None:
    settings = AccountsSettings()
    assert settings.intake_group == IntakeSettings().intake_group == Groups().intake
    assert settings.grader_group == GraderSettings().grader_group == Groups().grader
