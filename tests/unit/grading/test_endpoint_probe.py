"""Opening the endpoint: missing or malformed settings are named with their fix."""

import pytest

from ragwheel.grading.endpoint.probe import open_client
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import GraderSettings


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="RAGWHEEL_LLM_API_KEY is not set"):
        open_client(load(GraderSettings))


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http:///v1", "none at all"])
def test_an_address_that_is_no_url_is_named(url: str) -> None:
    settings = load(GraderSettings, llm_api_key="k", llm_base_url=url)
    with pytest.raises(ConfigError, match="RAGWHEEL_LLM_BASE_URL="):
        open_client(settings)


async def test_the_client_leaves_retries_to_us() -> None:
    settings = load(GraderSettings, llm_api_key="k", llm_timeout_s=7)
    async with open_client(settings) as client:
        assert client.max_retries == 0
        assert client.timeout.read == 7.0  # type: ignore[union-attr] # a Timeout is what we gave
