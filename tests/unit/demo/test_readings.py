"""What ClickHouse holds of a verdict comes back as the event that was announced."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from clickhouse_connect.driver.client import Client

from ragwheel.demo.readings import Readings

ROW = {
    "event_id": "0" * 32,
    "model_id": "m1",
    "incumbent_id": "",
    "base_model": "base",
    "action": "promoted",
    "reason": "recall@10 rose",
    "triplets": 9,
    "labels": 20,
    "uri": "/models/m1",
    "seconds": 1_800_000_000,
}


class Rows:
    """A ClickHouse that answers every question with the same rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = rows

    def query(self, sql: str) -> Rows:
        return self

    def named_results(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self._rows]


def readings(*rows: dict[str, Any]) -> Readings:
    return Readings(cast("Client", Rows(*rows)))


def test_the_first_verdict_is_read_as_an_event() -> None:
    verdict = readings(ROW).verdict()

    assert verdict is not None
    assert (verdict.action, verdict.uri, verdict.triplets) == ("promoted", "/models/m1", 9)
    assert verdict.ts == datetime.fromtimestamp(1_800_000_000, UTC)


def test_no_row_is_no_verdict_yet() -> None:
    assert readings().verdict() is None
