"""The ordered window: much at once, acknowledged in order, nothing skipped."""

import asyncio
import random
from collections.abc import Callable

import pytest

from ragwheel.grading.window import OrderedWindow


class Bench:
    """Work that ends when told, and the acknowledgements in the order they came."""

    def __init__(self, capacity: int = 100) -> None:
        self.now = 0.0
        self.window = OrderedWindow(capacity, lambda: self.now)
        self.window.source = self
        self.paused: set[int] = set()
        self.acknowledged: list[tuple[int, int]] = []
        self.started: list[tuple[int, int]] = []
        self._gates: dict[tuple[int, int], asyncio.Future[None]] = {}

    def pause(self, lane: int) -> None:
        self.paused.add(lane)

    def resume(self, lane: int) -> None:
        self.paused.discard(lane)

    async def submit(self, lane: int, offset: int) -> None:
        message = (lane, offset)
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gates[message] = gate

        async def work() -> None:
            self.started.append(message)
            await gate

        self.window.submit(lane, work, lambda: self.acknowledged.append(message))

    async def finish(self, lane: int, offset: int, error: Exception | None = None) -> None:
        gate = self._gates[lane, offset]
        if error is None:
            gate.set_result(None)
        else:
            gate.set_exception(error)
        await _settle()


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_work_runs_at_the_same_time_and_is_acknowledged_in_order() -> None:
    bench = Bench()
    for offset in range(4):
        await bench.submit(0, offset)
    await _settle()
    assert len(bench.started) == 4
    await bench.finish(0, 2)
    await bench.finish(0, 1)
    assert bench.acknowledged == []
    await bench.finish(0, 0)
    assert bench.acknowledged == [(0, 0), (0, 1), (0, 2)]
    assert len(bench.window) == 1


async def test_partitions_do_not_wait_for_each_other() -> None:
    bench = Bench()
    await bench.submit(0, 0)
    await bench.submit(1, 0)
    await bench.finish(1, 0)
    assert bench.acknowledged == [(1, 0)]


async def test_whatever_the_order_of_completion_every_prefix_is_contiguous() -> None:
    dice = random.Random(4)
    for _ in range(50):
        bench = Bench()
        messages = [(lane, offset) for offset in range(8) for lane in range(3)]
        for lane, offset in messages:
            await bench.submit(lane, offset)
        for lane, offset in dice.sample(messages, len(messages)):
            await bench.finish(lane, offset)
            for each in range(3):
                seen = [at for where, at in bench.acknowledged if where == each]
                assert seen == list(range(len(seen)))
        assert sorted(bench.acknowledged) == sorted(messages)
        assert await bench.window.drain(0.0)


async def test_a_full_lane_is_paused_and_what_still_comes_waits_for_room() -> None:
    bench = Bench(capacity=2)
    await bench.submit(0, 0)
    assert bench.paused == set()
    await bench.submit(0, 1)
    assert bench.paused == {0}
    await bench.submit(0, 2)
    await bench.finish(0, 1)  # done, but not acknowledged: still takes room
    assert (0, 2) not in bench.started
    await bench.finish(0, 0)
    assert (0, 2) in bench.started
    assert bench.paused == set()
    await bench.finish(0, 2)
    assert bench.acknowledged == [(0, 0), (0, 1), (0, 2)]


async def test_a_stuck_job_delays_its_own_lane_and_no_other() -> None:
    """Four lanes and messages without end; the first job of lane 0 never ends."""
    bench = Bench(capacity=16)
    bench.window.divide(4)
    await bench.submit(0, 0)
    for offset in range(500):
        if 0 not in bench.paused:
            await bench.submit(0, offset + 1)
        for lane in (1, 2, 3):
            assert lane not in bench.paused
            await bench.submit(lane, offset)
            await bench.finish(lane, offset)
    assert len(bench.acknowledged) == 1_500
    assert len(bench.window) == 4  # the share of lane 0: the total never grows beyond the capacity


async def test_shares_follow_the_partitions_that_are_assigned() -> None:
    bench = Bench(capacity=4)
    bench.window.divide(2)
    for offset in range(4):
        await bench.submit(0, offset)
    await _settle()
    assert len(bench.started) == 2
    bench.window.divide(1)
    await _settle()
    assert len(bench.started) == 4
    bench.window.divide(1_000)  # fewer places than lanes: each lane has one
    await bench.submit(7, 0)
    await _settle()
    assert (7, 0) in bench.started


async def test_while_nothing_is_admitted_nothing_starts_and_what_runs_is_acknowledged() -> None:
    bench = Bench()
    await bench.submit(0, 0)
    bench.window.admit(False)
    await bench.submit(0, 1)
    await bench.submit(1, 0)
    await bench.finish(0, 0)
    assert (bench.started, bench.acknowledged) == ([(0, 0)], [(0, 0)])
    assert bench.paused == {0, 1}
    bench.window.admit(True)
    await bench.finish(0, 1)
    await bench.finish(1, 0)
    assert bench.paused == set()
    assert await bench.window.drain(0.0)


async def test_what_was_paused_is_read_again_although_a_rebalance_came_between() -> None:
    bench = Bench(capacity=1)
    bench.window.admit(False)
    await bench.submit(0, 0)
    await bench.window.abandon()
    await bench.submit(0, 0)
    bench.window.admit(True)
    await bench.finish(0, 0)
    assert bench.acknowledged == [(0, 0)]
    assert bench.paused == set()


async def test_work_that_raises_is_not_acknowledged_and_nothing_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    for offset in range(3):
        await bench.submit(0, offset)
    await bench.finish(0, 0)
    await bench.finish(0, 1, RuntimeError("a bug"))
    await bench.finish(0, 2)
    assert bench.acknowledged == [(0, 0)]
    assert "a bug" in caplog.text
    assert isinstance(await bench.window.wait_broken(), RuntimeError)
    assert not await bench.window.drain(0.01)


async def test_abandoned_work_is_stopped_and_never_acknowledged() -> None:
    bench = Bench()
    for offset in range(3):
        await bench.submit(0, offset)
    await bench.finish(0, 1)
    assert await bench.window.abandon() == 3
    await _settle()
    assert bench.acknowledged == []
    assert len(bench.window) == 0
    assert await bench.window.drain(0.0)


async def test_after_an_abandonment_there_is_room_and_order_again() -> None:
    bench = Bench(capacity=3)
    for offset in range(3):
        await bench.submit(0, offset)
    await bench.window.abandon()
    for offset in range(3):
        await bench.submit(0, offset)
    for offset in (2, 1, 0):
        await bench.finish(0, offset)
    assert bench.acknowledged == [(0, 0), (0, 1), (0, 2)]


async def test_a_message_that_waited_for_room_is_not_taken_after_an_abandonment() -> None:
    """Older messages of its partition come again; acknowledging it first would skip them."""
    bench = Bench(capacity=1)
    await bench.submit(0, 0)
    await bench.submit(0, 1)
    await _settle()
    await bench.window.abandon()
    await _settle()
    assert (0, 1) not in bench.started
    await bench.submit(0, 0)
    await bench.finish(0, 0)
    assert bench.acknowledged == [(0, 0)]


async def test_the_age_of_the_oldest_is_told() -> None:
    bench = Bench()
    assert bench.window.oldest_age_s() == 0.0
    await bench.submit(0, 0)
    bench.now = 5.0
    await bench.submit(1, 0)
    bench.now = 7.0
    assert bench.window.oldest_age_s() == 7.0
    await bench.finish(0, 0)
    assert bench.window.oldest_age_s() == 2.0


async def test_draining_waits_for_what_is_under_way() -> None:
    bench = Bench()
    await bench.submit(0, 0)
    assert not await bench.window.drain(0.01)
    draining = asyncio.create_task(bench.window.drain(5.0))
    await bench.finish(0, 0)
    assert await draining


async def test_acknowledgement_sees_the_last_message_before_the_window_is_idle() -> None:
    idle_at_ack: list[bool] = []
    window = OrderedWindow(1, lambda: 0.0)
    check: Callable[[], object] = lambda: idle_at_ack.append(len(window) == 0)  # noqa: E731

    async def work() -> None:
        return None

    window.submit(0, work, check)
    assert await window.drain(1.0)
    assert idle_at_ack == [False]
