"""What kind of server the test server is: what it supports, allows and how long it takes. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from ragwheel.stack.llm.allowance import RateLimits

_FORBID = ConfigDict(extra="forbid")
#: The 95th percentile of the standard normal distribution.
_Z95 = 1.6448536269514722
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, config=_FORBID)
class LatencySpread:
    """A log-normal distribution by its median and 95th percentile, seconds."""

    p50: _Seconds
    p95: _Seconds

    def __post_init__(self) -> None:
        """Raises `ValueError` where p95 is below p50."""
        if self.p95 < self.p50:
            raise ValueError(f"p95 {self.p95} must be p50 {self.p50} or more")

    def draw(self, dice: random.Random) -> float:
        """Seconds that one answer takes."""
        return self.p50 * math.exp(math.log(self.p95 / self.p50) / _Z95 * dice.gauss(0, 1))


@dataclass(frozen=True, config=_FORBID)
class RefusedCall:
    """An error answer before anything is asked of the model."""

    status: int
    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True, config=_FORBID)
class Manners:
    """What a server supports. Without arguments: all there is, at once and without limits.

    Attributes:
        logprobs: given where they are asked for, left out without a word, or refused with 400.
        key_revoked: every call ends in 401, whatever its key.
        quota_exhausted: every call ends in a 429 that no waiting helps.
    """

    json_schema: bool = True
    json_object: bool = True
    temperature: bool = True
    max_completion_tokens: bool = True
    logprobs: Literal["given", "ignored", "refused"] = "given"
    key_revoked: bool = False
    quota_exhausted: bool = False
    latency: LatencySpread | None = None
    limits: RateLimits | None = None

    def refusal(self, body: Mapping[str, Any]) -> RefusedCall | None:
        """What the server says to a request instead of an answer; None where it answers."""
        if self.key_revoked:
            return RefusedCall(401, "invalid_api_key", "Incorrect API key provided.")
        if self.quota_exhausted:
            return RefusedCall(429, "insufficient_quota", "You exceeded your current quota.")
        wanted = body.get("response_format")
        form = wanted.get("type") if isinstance(wanted, dict) else None
        unsupported = {
            "response_format": (form == "json_schema" and not self.json_schema)
            or (form == "json_object" and not self.json_object),
            "temperature": body.get("temperature") is not None and not self.temperature,
            "max_completion_tokens": "max_completion_tokens" in body
            and not self.max_completion_tokens,
            "logprobs": bool(body.get("logprobs")) and self.logprobs == "refused",
        }
        for param, refused in unsupported.items():
            if refused:
                what = f"{param} of type {form}" if param == "response_format" else param
                message = f"{what} is not supported."
                return RefusedCall(400, "invalid_request_error", message, param)
        return None


_MANNERS = TypeAdapter(Manners)


def parse_manners(raw: Mapping[str, Any]) -> Manners:
    """Manners from their JSON form; what is left out is as by default.

    Raises:
        ValueError: names the field that is unknown or wrong.
    """
    return _MANNERS.validate_python(raw)
