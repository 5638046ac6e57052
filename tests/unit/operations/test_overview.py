"""What the overview makes of the database's answers."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

from clickhouse_connect.driver.client import Client

from ragwheel.operations.overview import model_lines


class FakeClient:
    """Answers about models as the driver does: times of UTC columns have no zone."""

    def query(self, sql: str) -> SimpleNamespace:
        """The model in service, or every model's last event."""
        if "incumbent_id" in sql:
            return SimpleNamespace(result_rows=[("m1",)])
        at = datetime(2026, 1, 31, 12)  # noqa: DTZ001 - the point of the test
        return SimpleNamespace(result_rows=[("m1", "promoted", "proven", at)])


def test_a_model_tells_when_in_utc_so_that_json_readers_need_not_guess() -> None:
    (line,) = model_lines(cast(Client, FakeClient()))
    assert line.promoted
    assert line.ts == datetime(2026, 1, 31, 12, tzinfo=UTC)
