"""Which documents an index holds, as its service declared them."""

from __future__ import annotations

from typing import Protocol

from ragwheel.backends.clickhouse import connect
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import ClickHouseSettings

_NEWEST = """
SELECT document_fingerprint
FROM v_indexes
WHERE `index` = {name:String} AND complete
ORDER BY ts DESC
LIMIT 1
"""


class Declarations(Protocol):
    """Who knows what indexes declare."""

    def fingerprint_of(self, index: str) -> str:
        """Fingerprint of the documents of the newest complete build; empty: it declares none.

        Raises:
            UnavailableError: nobody can tell now.
        """


class DeclaredIndexes:
    """Reads ClickHouse; a connection per question, because questions are minutes apart."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings

    def fingerprint_of(self, index: str) -> str:
        """See `Declarations`."""
        from clickhouse_connect.driver.exceptions import ClickHouseError
        from urllib3.exceptions import HTTPError

        client = connect(self._settings)
        try:
            rows = client.query(_NEWEST, parameters={"name": index}).result_rows
        except (ClickHouseError, HTTPError) as error:
            raise UnavailableError(
                f"what index {index!r} declares cannot be read ({str(error).strip()[:200]}): check "
                "RAGWHEEL_CLICKHOUSE_URL; `ragwheel migrate` makes the tables"
            ) from None
        finally:
            client.close()
        return str(rows[0][0]) if rows else ""
