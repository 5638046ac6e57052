"""The circuit breaker of an endpoint: whether anybody may call it at all.

A revoked key, an empty account or a model that is gone says nothing about the pair that was asked,
so it must not become that pair's label. It opens the circuit: all calls wait, the worker admits no
further job, Kafka keeps them. A small call is then tried with growing pauses until it is answered.
`Circuit` and its transitions are pure; `Breaker` is the shell that waits and probes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.endpoint.retry import CallFailure, HoldAll, hold_of
from ragwheel.grading.endpoint.timing import Clock
from ragwheel.schemas import metrics

_LOG = logging.getLogger(__name__)

#: The first pause before a probe, and the longest that the server did not ask for, seconds.
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0


@dataclass(frozen=True, slots=True)
class Circuit:
    """State of one endpoint.

    Attributes:
        state: closed = calls go through; open = all wait; half_open = one small call is tried.
        reason: why it is not closed, one of few words.
        detail: the same for people.
        trips: how often in a row it opened or stayed open without an answered call between.
        probe_at: while open: when the next probe is due, on the monotonic clock.
    """

    state: Literal["closed", "open", "half_open"] = "closed"
    reason: str = "none"
    detail: str = ""
    trips: int = 0
    probe_at: float = 0.0


def after_refusal(circuit: Circuit, hold: HoldAll, now: float, dice: float) -> Circuit:
    """After a refusal that concerns everybody. `dice` is uniform in [0, 1).

    The pause is what the server asked for, however long, and up to 5 % more; otherwise it doubles
    from probe to probe, and is half certain and half random. A refusal that arrives while the
    circuit is open already belongs to a call from before: it changes only how long the server
    wants to be left alone.
    """
    if hold.retry_after_s is not None:
        pause_s = hold.retry_after_s * (1 + 0.05 * dice)
    else:
        ceiling = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(circuit.trips, 16))
        pause_s = ceiling * (1 + dice) / 2
    if circuit.state == "open":
        if hold.retry_after_s is None:
            return circuit
        return replace(circuit, probe_at=max(circuit.probe_at, now + pause_s))
    return Circuit("open", hold.reason, hold.detail, circuit.trips + 1, now + pause_s)


def probing(circuit: Circuit) -> Circuit:
    """While the small call is under way."""
    return replace(circuit, state="half_open")


def after_answer(circuit: Circuit) -> Circuit:
    """After a call with work in it was answered: the next outage starts with a short pause."""
    return Circuit() if circuit.state == "closed" else circuit


def after_probe(circuit: Circuit) -> Circuit:
    """After a probe that was answered. The pauses stay long until real calls are answered, too."""
    return Circuit(trips=circuit.trips)


@dataclass(eq=False)
class Breaker:
    """Holds back the calls to one model of an endpoint while it refuses them all.

    Attributes:
        model: for metrics and the log.
        probe: makes one small call; None when it went through, else why not.
        changed: called after each change between closed and not closed.
    """

    model: str
    probe: Callable[[], Awaitable[CallFailure | None]]
    telemetry: Telemetry
    clock: Clock = field(default_factory=Clock)
    changed: Callable[[], None] = lambda: None
    circuit: Circuit = field(default_factory=Circuit, init=False)

    def __post_init__(self) -> None:
        #: Grows with each answer, so that a call can tell whether others are answered.
        self.answers = 0
        self._closed = asyncio.Event()
        self._closed.set()
        self._prober: asyncio.Task[None] | None = None
        self._shown: dict[str, str] = {}
        self._show()

    @property
    def is_closed(self) -> bool:
        """Whether calls may go through."""
        return self.circuit.state == "closed"

    async def wait_closed(self) -> None:
        """Return once calls may go through; at once if they may."""
        await self._closed.wait()

    def answered(self) -> None:
        """Say that a call was answered."""
        self.answers += 1
        self.circuit = after_answer(self.circuit)

    def trip(self, hold: HoldAll) -> None:
        """Say that a call was refused in a way that concerns all calls."""
        was_closed = self.is_closed
        if self.circuit.state == "half_open":
            return  # the probe under way knows more than a call from before
        self._become(after_refusal(self.circuit, hold, self.clock.monotonic(), self.clock.dice()))
        if was_closed:
            _LOG.error(
                "%s takes no calls (%s): jobs wait, and stay in Kafka, until it does",
                self.model, self.circuit.detail,
            )  # fmt: skip
            self._closed.clear()
            self.changed()
            self._prober = asyncio.create_task(self._probe_until_answered())

    async def close(self) -> None:
        """Stop probing, for the end of the process; the state stays as it is."""
        if self._prober is not None:
            self._prober.cancel()
            await asyncio.wait({self._prober})

    async def _probe_until_answered(self) -> None:
        while not self.is_closed:
            while (pause_s := self.circuit.probe_at - self.clock.monotonic()) > 0:
                await self.clock.sleep(pause_s)
            self._become(probing(self.circuit))
            failure = await self.probe()
            now = self.clock.monotonic(), self.clock.dice()
            if failure is None or failure.is_busy:
                self._become(after_probe(self.circuit))
            else:
                self._become(after_refusal(self.circuit, hold_of(failure), *now))
        self.answers += 1
        _LOG.warning("%s takes calls again; grading goes on", self.model)
        self._closed.set()
        self.changed()

    def _become(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self._show()

    def _show(self) -> None:
        now = {"model": self.model, "state": self.circuit.state, "reason": self.circuit.reason}
        if self._shown:
            self.telemetry.set(metrics.LLM_BREAKER, 0, **self._shown)
        self.telemetry.set(metrics.LLM_BREAKER, 1, **now)
        self._shown = now
