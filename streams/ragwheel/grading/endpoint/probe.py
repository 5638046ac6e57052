"""Opening the LLM endpoint, and finding out at the start whether it will work at all.

A wrong key or address found here is one line and an exit status; found later it would be a day of
traffic labelled `failed`.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import openai

from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError, RagwheelError, UnavailableError
from ragwheel.schemas.settings import GraderSettings

_LOG = logging.getLogger(__name__)
_CONNECT_TIMEOUT_S = 5.0
_CHECK_TIMEOUT_S = 30.0


def open_client(settings: GraderSettings) -> openai.AsyncOpenAI:
    """A client that never retries by itself, and says in each call that a grader asks.

    Raises:
        ConfigError: key or address are missing or malformed.
    """
    key = settings.llm_api_key.get_secret_value()
    if not key:
        raise ConfigError(
            f"RAGWHEEL_LLM_API_KEY is not set: put the key of {settings.llm_base_url!r} there, "
            'or "none" if it wants none'
        )
    url = urlsplit(settings.llm_base_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(
            f"RAGWHEEL_LLM_BASE_URL={settings.llm_base_url!r} is not a URL; "
            "expected http(s)://host[:port]/v1"
        )
    timeout = openai.Timeout(settings.llm_timeout_s, connect=_CONNECT_TIMEOUT_S)
    return openai.AsyncOpenAI(
        base_url=settings.llm_base_url,
        api_key=key,
        max_retries=0,
        timeout=timeout,
        default_headers={identity.SERVICE_HEADER: identity.GRADER_SERVICE},
    )


async def require_models(client: openai.AsyncOpenAI, base_url: str, *models: str) -> None:
    """Check that the endpoint answers, accepts the key and knows the models.

    A server that does not list its models is asked for a single token of each.

    Raises:
        ConfigError: names the setting that is wrong.
        UnavailableError: nothing answers.
    """
    patient = client.with_options(max_retries=2, timeout=_CHECK_TIMEOUT_S)
    try:
        listed = {model.id async for model in await patient.models.list()}
    except openai.OpenAIError as error:
        problem = _explain(error, base_url)
        if problem is not None:
            raise problem from None
        listed = set()
    for model in models:
        if model not in listed:
            await _require_model(patient, base_url, model)


async def _require_model(client: openai.AsyncOpenAI, base_url: str, model: str) -> None:
    try:
        await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Answer: 1"}]
        )
    except openai.NotFoundError:
        raise ConfigError(
            f"model {model!r} is not found at {base_url!r}: check RAGWHEEL_LLM_MODEL, "
            "RAGWHEEL_JUDGE_MODEL and that RAGWHEEL_LLM_BASE_URL ends in /v1"
        ) from None
    except openai.OpenAIError as error:
        problem = _explain(error, base_url)
        if problem is not None:
            raise problem from None
        _LOG.warning("model %r could not be checked: %s", model, error)


def _explain(error: openai.OpenAIError, base_url: str) -> RagwheelError | None:
    """The error to stop with; None where the endpoint may still work."""
    if isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
        return ConfigError(
            f"the LLM at {base_url!r} refused the key (HTTP {error.status_code}): "
            "check RAGWHEEL_LLM_API_KEY"
        )
    if isinstance(error, openai.APIConnectionError):
        return UnavailableError(
            f"no LLM answers at {base_url!r}: start it or set RAGWHEEL_LLM_BASE_URL"
        )
    return None
