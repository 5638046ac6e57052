"""Tokens for OAUTHBEARER in Faust; librdkafka, on which all others stand, fetches its own."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import orjson
from aiokafka.abc import AbstractTokenProvider  # type: ignore[import-untyped]

from ragwheel.schemas.settings import KafkaSettings

_TIMEOUT_S = 10.0


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc] # aiokafka is not typed
    """Asks the token endpoint of the settings as a client; once for each connection."""

    def __init__(self, settings: KafkaSettings) -> None:
        secret = settings.kafka_oauth_client_secret.get_secret_value()
        basic = b64encode(f"{settings.kafka_oauth_client_id}:{secret}".encode()).decode()
        form = {"grant_type": "client_credentials"}
        if settings.kafka_oauth_scope:
            form["scope"] = settings.kafka_oauth_scope
        # The setting allows http and https alone.
        self._request = Request(  # noqa: S310
            settings.kafka_oauth_token_url,
            urlencode(form).encode(),
            {"Authorization": f"Basic {basic}", "Accept": "application/json"},
        )

    async def token(self) -> str:
        """A fresh token.

        Raises:
            OSError: the endpoint gave none; aiokafka takes it for a lost connection and retries.
        """
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> str:
        with urlopen(self._request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
            try:
                return str(orjson.loads(answer.read())["access_token"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                raise OSError(f"{self._request.full_url} answered without a token") from None
