"""What to do about a call that failed. Pure: the clock and the dice are arguments.

The SDK's own retries are off, because its waits would stack on ours, invisible to the consumer
group, and it gives up altogether on a Retry-After of more than two minutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

FailureKind = Literal["http", "timeout", "connection", "protocol"]

#: Statuses that a later try may turn into an answer, besides every 5xx.
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
#: What refuses the key, the account or the model, hence every call.
_ACCOUNT_STATUSES = frozenset({401, 402, 403, 404})
#: An empty account, not a busy one: waiting alone does not fill it. Any status can say so.
_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active",
     "account_deactivated", "insufficient_balance"}
)  # fmt: skip
_QUOTA_WORDS = ("credit balance", "insufficient balance", "exceeded your current quota")
#: Gemini says so with 400.
_KEY_WORDS = ("api key",)
_TOO_LONG_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}
)
_TOO_LONG_WORDS = (
    "context length", "context window", "context size", "too many tokens", "prompt is too long",
    "input is too long", "request too large", "input token count",
)  # fmt: skip
_FILTER_CODES = frozenset(
    {"content_filter", "content_policy_violation", "invalid_prompt", "data_inspection_failed"}
)
_FILTER_WORDS = (
    "content filter", "content management policy", "content exists risk", "input was flagged",
    "prompt was flagged", "requires moderation",
)  # fmt: skip
#: A server that wants to be left alone for longer is not busy but away, seconds.
LONG_RETRY_AFTER_S = 120.0


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call without a usable completion.

    Attributes:
        kind: http = the server answered with an error status; protocol = it answered nonsense.
        message: for people; holds no key and no passage.
        status: HTTP status for kind http.
        code: the server's own error code.
        retry_after_s: what the server asks for, seconds.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    code: str = ""
    retry_after_s: float | None = None

    @property
    def transient(self) -> bool:
        """Whether the same request can succeed later."""
        if self.kind != "http" or self.status is None:
            return True
        return self.status in _TRANSIENT_STATUSES or self.status >= 500

    @property
    def out_of_quota(self) -> bool:
        """Whether the account is empty."""
        return self.code in _QUOTA_CODES or self._says(_QUOTA_WORDS)

    @property
    def about_prompt(self) -> Literal["truncated", "refused"] | None:
        """What is wrong with the texts that were sent: too long, or filtered. None: nothing."""
        if self.status is None or not 400 <= self.status < 500 or self.out_of_quota:
            return None
        if self.code in _FILTER_CODES or self._says(_FILTER_WORDS):
            return "refused"
        too_long = self.status == 413 or self.code in _TOO_LONG_CODES
        return "truncated" if too_long or self._says(_TOO_LONG_WORDS) else None

    @property
    def about_account(self) -> bool:
        """Whether key, account or model are refused, and with them every call."""
        if self.status in _ACCOUNT_STATUSES or self.out_of_quota:
            return True
        return self.status == 400 and self._says(_KEY_WORDS)

    @property
    def is_busy(self) -> bool:
        """Whether it says no more than "too fast": key and model are good."""
        return self.status == 429 and not self.out_of_quota and not self.wants_long_rest

    @property
    def wants_long_rest(self) -> bool:
        """Whether the server asks for a pause in which no job should be started."""
        return (self.retry_after_s or 0.0) > LONG_RETRY_AFTER_S

    def _says(self, words: tuple[str, ...]) -> bool:
        message = self.message.lower()
        return self.kind == "http" and any(word in message for word in words)

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.message}" if self.status else self.message


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patiently a call is repeated.

    Attributes:
        base_s: upper bound of the first wait; doubles with every failure.
        cap_s: upper bound of any wait that the server did not ask for.
        deadline_s: how long a call is tried while it is not held back with all others.
        tries_alone: failures of one call, each after an answer to another, that show that the
            reason is in this call; and so many while nobody is answered show that one must ask.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    deadline_s: float = 1_800.0
    tries_alone: int = 5


@dataclass(frozen=True, slots=True)
class Attempts:
    """What one call went through so far.

    Attributes:
        failures: in a row, the one to decide about included.
        alone: those that came after other calls were answered; being too fast does not count.
        in_silence: the last ones of them, since which nobody was answered.
        others_answered: whether any other call was answered since the first try.
        elapsed_s: since the first try, without what all calls waited for.
    """

    failures: int = 1
    alone: int = 0
    in_silence: int = 0
    others_answered: bool = False
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after `seconds`; `for_all`: the server asked everybody to hold back."""

    seconds: float
    for_all: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try this prompt again. `status` is what a pair ends with that is refused alone."""

    reason: str
    status: Literal["failed", "truncated", "refused"] = "failed"


@dataclass(frozen=True, slots=True)
class HoldAll:
    """No call can be answered now, or nobody knows: all wait until a small one was.

    Attributes:
        reason: one of few words, for a metric.
        retry_after_s: when to look; None leaves it to the breaker.
    """

    reason: str
    detail: str
    retry_after_s: float | None = None


def hold_of(failure: CallFailure) -> HoldAll:
    """Why nothing can be asked, given what one call was told."""
    reason = "unanswered"
    if failure.out_of_quota:
        reason = "quota"
    elif failure.wants_long_rest:
        reason = "retry_after"
    elif failure.status is not None:
        reason = f"http_{failure.status}"
    return HoldAll(reason, str(failure), failure.retry_after_s)


def decide(
    failure: CallFailure, attempts: Attempts, policy: RetryPolicy, dice: float
) -> Wait | GiveUp | HoldAll:
    """What follows a failure.

    A failure that is about the texts, or that only this call meets, ends the call. One that
    concerns all calls, or that may, holds all back. Otherwise the call is tried again: when the
    server says, without a cap, or after a time that is uniform in
    [0, min(cap, base·2^(failures-1))] ("full jitter"), so that callers who failed together do not
    return together.

    Args:
        dice: uniform in [0, 1).
    """
    if failure.about_prompt is not None:
        return GiveUp(str(failure), failure.about_prompt)
    tries = f"{attempts.failures} tries"
    if attempts.alone >= policy.tries_alone:
        return GiveUp(f"{failure} (while other calls are answered; {tries})")
    if failure.about_account or failure.wants_long_rest:
        return hold_of(failure)
    if not failure.transient:
        # Is it this request, or every one of ours? A small call, made at once, tells.
        if attempts.alone:
            return GiveUp(str(failure))
        return HoldAll(f"http_{failure.status}", str(failure), retry_after_s=0.0)
    if not failure.is_busy and attempts.in_silence >= (1 if attempts.alone else policy.tries_alone):
        # Nobody was answered, perhaps because nobody else asked: a small call tells.
        return HoldAll(hold_of(failure).reason, str(failure), retry_after_s=0.0)
    if failure.retry_after_s is not None:
        # Up to 5 % later, so that the waiters do not arrive as one wave.
        return Wait(failure.retry_after_s * (1 + 0.05 * dice), for_all=True)
    ceiling = min(policy.cap_s, policy.base_s * 2.0 ** min(attempts.failures - 1, 32))
    wait = Wait(ceiling * dice)
    if attempts.elapsed_s + wait.seconds <= policy.deadline_s:
        return wait
    late = f"{failure} (no answer within {policy.deadline_s:.0f} s, {tries})"
    return GiveUp(late) if attempts.others_answered else HoldAll("unanswered", late)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the server asks to wait: `retry-after-ms`, or `retry-after` as seconds or a date.

    None when absent or unreadable. `now` is aware.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        raw = headers.get(name)
        if raw is None:
            continue
        try:
            seconds = float(raw) * unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without a zone
        return None
