"""Which models production serves, as retrievals say: what is observed, not what was promoted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ragwheel.schemas.errors import UnavailableError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_SEEN = """
SELECT
    service,
    model_id,
    document_fingerprint,
    min(ts) AS since,
    max(ts) AS until,
    count() AS retrievals
FROM retrievals
WHERE model_id != ''
GROUP BY
    service,
    model_id,
    document_fingerprint
ORDER BY
    until DESC,
    service,
    model_id
"""


@dataclass(frozen=True, slots=True)
class SeenModel:
    """A model that answered queries of a service.

    Attributes:
        model_id: of a promoted model, or the name of a base model.
        since, until: first and last retrieval that it answered, UTC.
        retrievals: how many; one that was sent twice counts twice.
    """

    service: str
    model_id: str
    document_fingerprint: str
    since: datetime
    until: datetime
    retrievals: int


def seen_models(client: Client) -> list[SeenModel]:
    """Every model of every service, what answered last first.

    Raises:
        UnavailableError: ClickHouse cannot be read.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError
    from urllib3.exceptions import HTTPError

    try:
        rows = client.query(_SEEN, tz_mode="aware").result_rows
    except (ClickHouseError, HTTPError) as error:
        raise UnavailableError(
            f"which models serve cannot be read ({str(error).strip()[:200]}): check "
            "RAGWHEEL_CLICKHOUSE_URL; `ragwheel migrate` makes the tables"
        ) from None
    return [SeenModel(*row) for row in rows]


def unseen_s(seen: list[SeenModel], model_id: str, promoted_at: datetime, now: datetime) -> float:
    """Seconds since a promotion that no retrieval named yet; 0: one did."""
    if any(each.model_id == model_id and each.until >= promoted_at for each in seen):
        return 0.0
    return max(0.0, (now - promoted_at).total_seconds())
