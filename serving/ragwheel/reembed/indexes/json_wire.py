"""JSON over HTTP, for stores whose own drivers say no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from ragwheel.reembed.indexes.contracts import IndexRefusedError
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.secrets import StoreUrl

_TIMEOUT_S = 60.0
#: Busy, or a gateway's word for it: another try may help.
_LATER = (408, 429)


class StoreWire:
    """A connection that is kept."""

    def __init__(
        self, url: StoreUrl, headers: Mapping[str, str] | None = None, where: str = ""
    ) -> None:
        """Sends nothing yet; `url` is `engine+http(s)://user:password@host…`.

        Args:
            headers: what opens the door; without them, user and password do.
            where: host and path, if not all of the URL's.
        """
        self._url = url
        user, password = url.credentials()
        web = url.scheme.rpartition("+")[2]
        self._http = httpx.Client(
            base_url=f"{web}://{where or url.where}", headers=headers, timeout=_TIMEOUT_S,
            auth=httpx.BasicAuth(user, password) if user and not headers else None,
        )  # fmt: skip

    def ask(
        self, method: str, path: str, body: Any = None, *, content: str = "", missing: bool = False
    ) -> Any:
        """Send `body` as JSON, or lines of it as `content`, and read the answer.

        Args:
            missing: whether what is not there (404) is an answer, given as None.

        Raises:
            UnavailableError: it does not answer, or not now.
            IndexRefusedError: it says no; with its reason.
        """
        kind = {"Content-Type": "application/x-ndjson"} if content else None
        try:
            answer = self._http.request(
                method, path, json=body, content=content or None, headers=kind
            )
            said = answer.json() if answer.content else {}
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise UnavailableError(self.said(f"{type(error).__name__}: {error}")) from None
        if answer.status_code == 404 and missing:
            return None
        if answer.is_success:
            return said
        reason = self.said(f"{answer.status_code} to {method} {path}: {_reason(said)}")
        if answer.status_code in _LATER or answer.status_code >= 500:
            raise UnavailableError(reason)
        raise IndexRefusedError(reason)

    def said(self, what: str) -> str:
        """A message about this store, fit to be shown."""
        return f"{self._url}: {self._url.hide(what)[:400]}"

    def close(self) -> None:
        """Disconnect."""
        self._http.close()


def _reason(said: Any) -> str:
    """The words of an error as Elasticsearch and OpenSearch give it, else all of it."""
    error = said.get("error", said) if isinstance(said, dict) else said
    return str(error.get("reason", error) if isinstance(error, dict) else error)
