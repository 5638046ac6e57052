"""The drill: everything is killed in turn under load, and every delivered event is one row.

100 searches a second for 40 s, with one kill of each process; RAGWHEEL_TEST_DRILL_S=120 is the full
drill, with three and more of each.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path

import pytest
from tests.rigs.children import end
from tests.rigs.up import START_S, Up, status_of, wait_until

from ragwheel.backends.clickhouse import connect
from ragwheel.client import ClientStats, RagwheelClient
from ragwheel.operations.credentials import private_env
from ragwheel.schemas.settings import ClickHouseSettings, ClientSettings
from ragwheel.stack import settings_in

DRILL_S = float(os.environ.get("RAGWHEEL_TEST_DRILL_S") or 40)
SEARCHES_PER_S = 100
#: In this order, one every 8 s: the broker needs most of that to be back.
VICTIMS = ("intake", "kafka", "grader", "clickhouse")
KILL_EVERY_S = 8.0
#: What waits at the end is read, landed and graded in this time, on a slow machine.
SETTLE_S = 180.0

_LOG = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(DRILL_S + 420),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc"),
]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A whole stack but the trainer, grading a tenth of the queries."""
    started = Up(tmp_path / "home", "trainer", env={"RAGWHEEL_SAMPLE_RATE": "0.1"})
    yield started
    end(started.process)


class Service(threading.Thread):
    """A service that searches at a steady pace and never looks back."""

    def __init__(self, client: RagwheelClient) -> None:
        super().__init__(name="service")
        self.client = client
        self.searches = 0
        self.fell_behind_s = 0.0

    def run(self) -> None:
        began = time.monotonic()
        while (now := time.monotonic() - began) < DRILL_S:
            due_s = self.searches / SEARCHES_PER_S
            if now < due_s:
                time.sleep(due_s - now)
            self.fell_behind_s = max(self.fell_behind_s, now - due_s)
            self.search(self.searches)
            self.searches += 1

    def search(self, number: int) -> None:
        """One query, what it found, and the click of every third user."""
        text = f"how to do thing {number % 400}"
        query_id = self.client.emit_query(text, query_id=f"s-{number}", event_id=f"q-{number}")
        hits = [
            (f"c-{(number * 7 + rank) % 500}", 1 / rank, f"thing {(number * 7 + rank) % 500} is so")
            for rank in range(1, 6)
        ]
        self.client.emit_retrieval(query_id, text, hits, event_id=f"r-{number}")
        if number % 3 == 0:
            self.client.emit_feedback(query_id, "clicked", hits[0][0], event_id=f"f-{number}")

    def sent(self) -> dict[str, set[str]]:
        """Ids of the events by table."""
        numbers = range(self.searches)
        return {
            "queries": {f"q-{number}" for number in numbers},
            "retrievals": {f"r-{number}" for number in numbers},
            "feedback": {f"f-{number}" for number in numbers if number % 3 == 0},
        }


def kill_in_turn(up: Up, service: Service) -> Counter[str]:
    """Kills one process after the other, once it is up, while the service runs."""
    killed: Counter[str] = Counter()
    for name in cycle(VICTIMS):
        service.join(KILL_EVERY_S)
        if not service.is_alive():
            return killed
        wait_until(lambda: is_up(up, name), START_S, f"{name} is up")  # noqa: B023 - called here
        process = up.state.process(name)
        assert process is not None
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        killed[name] += 1
    return killed


def is_up(up: Up, name: str) -> bool:
    assert up.process.poll() is None, up.output
    process = up.state.process(name)
    return process is not None and process.alive


def settled(up: Up) -> bool:
    """Whether nothing is under way any more: all is read, landed and graded."""
    if not all(process.alive for process in up.state.processes):
        return False
    topics = status_of(up)["topics"]
    return all(topic["in_flight"] == 0 and not topic["pending_jobs"] for topic in topics)


def ids_in(up: Up, table: str) -> list[str]:
    """Event ids as readers see them."""
    with closing(connect(settings_in(private_env(up.state), ClickHouseSettings))) as client:
        # The table is one of ours.
        return [row[0] for row in client.query(f"SELECT event_id FROM v_{table}").result_rows]  # noqa: S608


def told(stats: ClientStats) -> dict[str, tuple[int, int]]:
    """By table: events that the client calls delivered, and all that it was given."""
    return {
        topic: (each.delivered, each.queued + each.dropped + each.invalid)
        for topic, each in stats.topics.items()
        if topic != "chunks"
    }


def test_every_delivered_event_is_one_row_whatever_is_killed(up: Up) -> None:
    up.says("Ctrl-C stops everything")
    # A broker on a slow machine may be away for longer than the client's usual 30 s.
    settings = settings_in(up.state.env, ClientSettings, client_message_timeout_s=120)
    client = RagwheelClient(settings)
    service = Service(client)
    service.start()
    killed = kill_in_turn(up, service)
    assert client.flush(60.0) == 0
    sent = service.sent()
    assert told(client.stats()) == {name: (len(ids), len(ids)) for name, ids in sent.items()}
    client.close()
    began = time.monotonic()
    wait_until(lambda: settled(up), SETTLE_S, "everything that was delivered has been worked off")
    _LOG.info(
        "%d searches (at most %.2f s behind), %d events, killed %s; settled after %.1f s",
        service.searches, service.fell_behind_s, sum(map(len, sent.values())), dict(killed),
        time.monotonic() - began,
    )  # fmt: skip

    assert min(killed[name] for name in VICTIMS) >= max(1, int(DRILL_S / 40))
    for table, ids in sent.items():
        rows = ids_in(up, table)
        assert len(rows) == len(ids), table
        assert set(rows) == ids, table
    status = status_of(up)
    assert {topic["unaccounted"] for topic in status["topics"]} == {0}
    assert {label["status"] for label in status["labels"]} == {"graded"}
    restarts = {process.name: process.restarts for process in up.state.processes}
    assert all(restarts[name] >= killed[name] for name in VICTIMS)
