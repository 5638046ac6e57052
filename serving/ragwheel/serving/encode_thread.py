"""The one thread that runs models, and how a coroutine gets its results.

torch is not safe in several threads, and several forward passes at once are slower than one after
another. The thread takes its batches itself: while the event loop writes answers, the next batch
runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Hashable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from math import ceil
from threading import Condition, Thread
from time import perf_counter
from typing import Any

import numpy as np

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import Encoder, Side, VectorError, Vectors
from ragwheel.serving import gauges
from ragwheel.serving.batching import (
    BatchLane,
    Caller,
    TextBatch,
    WaitingRoom,
    WaitingText,
)

_LOG = logging.getLogger(__name__)
#: Weight of the last batch in the speed that is told to those who shall come back.
_RECENT = 0.2
#: Tokens per second until the first batch has said better.
_FIRST_GUESS = 2_000.0

#: Lanes take turns, so a turn comes after two batches; this is the end of a server.
_LONGEST_TURN_S = 120.0


class OverloadedError(Exception):
    """Too much waits; it is worth asking again after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too much waits; ask again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class EncodeError(Exception):
    """A model failed on a text, or made numbers that are none; names the model."""


@dataclass(slots=True, eq=False)
class _Pending(Caller):
    """A request's results as they come in."""

    answer: asyncio.Future[list[Any]] = field(kw_only=True)
    results: list[Any] = field(kw_only=True)
    missing: int = field(kw_only=True)
    tokens: int = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class _Failure:
    """What stands in a text's place."""

    error: EncodeError


class EncodeThread:
    """Runs lanes' texts, batch after batch. Start it in the event loop that asks.

    Guarantees: a caller that hung up costs nothing once its texts are the next; one that waits is
    answered even when the end has come (`close`), or gets the model's error, which is nobody
    else's.

    Args:
        max_requests: of a lane that are under way; what comes beyond is refused. A request's size
            is no reason: two large imports would take turns in being refused.
    """

    def __init__(self, room: WaitingRoom, telemetry: Telemetry, max_requests: int) -> None:
        self._room = room
        self._max_requests = max_requests
        self._inside: defaultdict[Hashable, set[_Pending]] = defaultdict(set)
        self._telemetry = telemetry
        self._changed = Condition()
        self._closing = False
        self._tokens_per_s = _FIRST_GUESS
        self._thread = Thread(target=self._work, name="encode", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def alive(self) -> bool:
        """Whether there is somebody to encode."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to work for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def results(
        self, lane: BatchLane, texts: Sequence[str], tokens: Sequence[int]
    ) -> list[Any]:
        """One result per text, in their order, made in as many batches as it takes.

        Args:
            tokens: estimated length of each text.

        Raises:
            OverloadedError: nothing was taken; come back later.
            EncodeError: the model failed on one of the texts.
        """
        if not texts:
            return []
        if not self.alive:
            raise EncodeError("the encode thread has ended: start the server again")
        inside = self._inside[lane.key]
        if len(inside) >= self._max_requests:
            waiting_tokens = sum(each.tokens for each in inside)
            raise OverloadedError(max(1, ceil(waiting_tokens / self._tokens_per_s)))
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        pending = _Pending(
            answer=answer, results=[None] * len(texts), missing=len(texts), tokens=sum(tokens)
        )
        waiting = [
            WaitingText(text, size, pending, index)
            for index, (text, size) in enumerate(zip(texts, tokens, strict=True))
        ]
        inside.add(pending)
        with self._changed:
            self._room.let_in(lane, waiting)
            self._changed.notify()
        try:
            return await answer
        finally:
            pending.gone = answer.cancelled()
            inside.discard(pending)
            if not inside:
                self._inside.pop(lane.key, None)

    def in_turn(self, encoder: Encoder, texts: Sequence[str], side: Side) -> Vectors:
        """A few texts by a model that does not serve yet, as a batch between the others'.

        For other threads than the event loop's. Two threads that run models at once slow each other
        down a hundredfold: each has its own workers, and they wait for one another on all cores.

        Raises:
            VectorError: the model fails on one, or nothing is encoded any more.
        """
        if self._loop is None:  # nobody is answered yet
            return encoder.encode(texts, side)
        lane = BatchLane(
            encoder, side, lambda batch: encoder.encode(batch, side), "that is being checked"
        )
        work = self.results(lane, texts, encoder.tokens(texts).tolist())
        try:
            turn = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:  # the loop has ended
            work.close()
            raise VectorError(str(error)) from None
        try:
            return np.stack(turn.result(_LONGEST_TURN_S))
        except (EncodeError, OverloadedError, CancelledError, TimeoutError) as error:
            turn.cancel()
            raise VectorError(str(error) or "its turn did not come") from None

    async def close(self) -> None:
        """Finish what waits, and end. Nothing may be asked any more."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            if batch.dropped:
                gauges.show_dropped(self._telemetry, batch.dropped)
            if not batch.texts:
                continue
            began = perf_counter()
            results = _run(batch.lane, batch.texts)
            self._measure(batch, perf_counter() - began)
            if failed := sum(isinstance(result, _Failure) for result in results):
                gauges.show_encode_errors(self._telemetry, failed)
            assert self._loop is not None  # noqa: S101 - `start` sets it before the thread runs
            self._loop.call_soon_threadsafe(_deliver, batch, results)

    def _next(self) -> TextBatch | None:
        with self._changed:
            while (batch := self._room.next_batch()) is None:
                if self._closing:
                    return None
                self._changed.wait()
            gauges.show_batch(self._telemetry, len(batch.texts), len(self._room))
            return batch

    def _measure(self, batch: TextBatch, seconds: float) -> None:
        speed = sum(each.tokens for each in batch.texts) / max(seconds, 1e-6)
        self._tokens_per_s += _RECENT * (speed - self._tokens_per_s)


def _run(lane: BatchLane, texts: Sequence[WaitingText]) -> list[Any]:
    """Results of a batch. Where it fails, each text alone: one that is poison fails alone."""
    try:
        return _checked(lane, [each.text for each in texts])
    except Exception as error:  # noqa: BLE001 - whatever a model raises; the thread must live
        if len(texts) > 1:
            return [_run(lane, [each])[0] for each in texts]
        size = len(texts[0].text)
        _LOG.error("model %s failed on a text of %d characters", lane.model, size, exc_info=error)
        return [_Failure(EncodeError(f"model {lane.model} failed: {error}"))]


def _checked(lane: BatchLane, texts: list[str]) -> list[Any]:
    made = lane.run(texts)
    if len(made) != len(texts):
        raise EncodeError(f"it made {len(made)} results of {len(texts)} texts")
    if not np.isfinite(np.asarray(made)).all():
        raise EncodeError("it made numbers that are none (NaN or infinity)")
    return list(made)


def _deliver(batch: TextBatch, results: Sequence[Any]) -> None:
    """Hand results to whoever waits; in the event loop."""
    for each, result in zip(batch.texts, results, strict=True):
        pending = each.caller
        assert isinstance(pending, _Pending)  # noqa: S101 - `results` put nothing else in
        if pending.answer.done():
            continue
        if isinstance(result, _Failure):
            pending.answer.set_exception(result.error)
            pending.gone = True  # its other texts are not wanted any more
            continue
        pending.results[each.index] = result
        pending.missing -= 1
        if not pending.missing:
            pending.answer.set_result(pending.results)
