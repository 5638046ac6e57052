"""What a look at the accounts costs on a large history: it must depend on what is new alone.

    python bench/accounts.py [--labels 10000000] [--ledger 5000000]

Fills the embedded ClickHouse with that many labels (20 of each job) and ledger rows (of 24
partitions) and then looks again and again as the worker does, each time after a batch of new ledger
rows and of new jobs with labels. Printed is the processor time of client and server together; run
it with a tenth of the history, too, to see that it does not grow. Also timed: the labels of one
job, as the grader asks for them before it pays. The exit status is 1 when a look costs more than
50 ms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import psutil
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.query import QueryResult

from ragwheel.accounting.accounts import PartitionAccount
from ragwheel.accounting.ledger import Ledger
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.stack.clickhouse import ClickHouseFront

_PARTITIONS = 24
_LOOKS = 30
_NEW_JOBS = 50
_LIMIT_MS = 50.0

_LEDGER = """
INSERT INTO ingest_ledger
    (origin, topic, partition, start, until, dead_lettered, absent_from, absent_until, at,
     landed_at)
SELECT 'o', 'retrievals', number % {partitions}, 10 * intDiv(number, {partitions}),
    10 * intDiv(number, {partitions}) + 10, [], [], [], now64(3),
    now('UTC') - toIntervalSecond(if(number < {total}, 29 * 86400 * (1 - number / {total}), 0))
FROM numbers({since}, {count})
SETTINGS insert_allow_materialized_columns = 1
"""
_JOBS = """
INSERT INTO job_positions (origin, partition, offset, job_id, role, query_hash, chunk_hashes)
SELECT 'j', 0, number, toFixedString(sipHash128(number, 'job'), 16), 'label',
    toFixedString(sipHash128(number, 'query'), 16),
    arrayMap(n -> toFixedString(sipHash128(number, toUInt8(n)), 16), range(20))
FROM numbers({since}, {count})
"""
_LABELS = """
INSERT INTO labels
    (label_id, job_id, role, source, query_id, query, query_hash, segment, chunk_hash, status,
     grade, grader_id, model, rubric_version, prompt_hash, stratum, inclusion_probability,
     input_tokens, output_tokens, cost_usd, latency_ms, attempts, reason, ts, graded_at)
SELECT toFixedString(sipHash128(job, place, 'label'), 16),
    toFixedString(sipHash128(job, 'job'), 16), 'label', 'llm',
    concat('q-', toString(job)), concat('how do I do thing number ', toString(job)),
    toFixedString(sipHash128(job, 'query'), 16), 'code', toFixedString(sipHash128(job, place), 16),
    'graded', if(place = 0, 3, 0), 'm@1', 'm', '1', 'p', 'code', 0.05, 100, 5, 0.0001, 500, 1, '',
    now64(3) - toIntervalSecond(job % 5000000), now64(3)
FROM (SELECT toUInt64(intDiv(number, 20)) AS job, toUInt8(number % 20) AS place
    FROM numbers({since}, {count}))
"""
_ONE_JOB = """
SELECT lower(hex(label_id)), grade FROM labels FINAL
WHERE (query_hash, label_id) IN (
    SELECT toFixedString(sipHash128(toUInt64(job), 'query'), 16),
        toFixedString(sipHash128(toUInt64(job), toUInt8(place), 'label'), 16)
    FROM (SELECT {job:UInt64} AS job, arrayJoin(range(20)) AS place))
    AND status = 'graded'
"""


class Meter:
    """A client whose queries are charged: processor time on both sides."""

    def __init__(self, client: Client, server: psutil.Process) -> None:
        self._client = client
        self._server = server

    def query(self, sql: str, **how: Any) -> QueryResult:
        """As the client's."""
        return self._client.query(sql, **how)

    def cpu_ms(self, call: Callable[[], object]) -> float:
        """Milliseconds of processor time of `call`."""
        before = self._seconds()
        call()
        return (self._seconds() - before) * 1000

    def _seconds(self) -> float:
        spent = self._server.cpu_times()
        return float(spent.user + spent.system) + time.process_time()


def fill(client: Client, labels: int, ledger: int) -> None:
    """The history, in inserts as large as the server likes them."""
    for sql, count in ((_LEDGER, ledger), (_JOBS, labels // 20), (_LABELS, labels)):
        for since in range(0, count, 1_000_000):
            client.command(
                sql.format(
                    since=since,
                    count=min(1_000_000, count - since),
                    partitions=_PARTITIONS,
                    total=count,
                )
            )


def wait_for_quiet(server: psutil.Process) -> None:
    """Until merges are done: their processor time is not the accounts'."""
    while server.cpu_percent(2.0) > 5.0:
        pass


def main() -> int:
    """Measure and print; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--labels", type=int, default=10_000_000)
    parser.add_argument("--ledger", type=int, default=5_000_000)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ClickHouseFront(Path(folder) / "front") as front,
    ):
        settings = load(ClickHouseSettings, clickhouse_url=front.url("bench"))
        client = connect(settings, create_database=True)
        migrate(client)
        began = time.perf_counter()
        fill(client, arguments.labels, arguments.ledger)
        print(f"filled in {time.perf_counter() - began:.0f} s")
        wait_for_quiet(psutil.Process(front.pid))
        # What merges the new rows costs the same whoever looks; it would count as the look's.
        client.command("SYSTEM STOP MERGES")
        good = measure(client, front, arguments.labels, arguments.ledger)
        client.close()
    return 0 if good else 1


def measure(client: Client, front: ClickHouseFront, labels: int, ledger: int) -> bool:
    """Look as the worker does; print what it costs."""
    assert front.pid is not None  # noqa: S101 it runs
    meter = Meter(client, psutil.Process(front.pid))
    told = Ledger(cast(Client, meter))
    reach = 10 * (ledger // _PARTITIONS)
    known = {
        ("o", number): PartitionAccount(base=0, covered=[(0, reach)])
        for number in range(_PARTITIONS)
    }
    jobs, taken_in = labels // 20, 0
    costs = []
    for look in range(_LOOKS):
        since, jobs = jobs, jobs + _NEW_JOBS
        added = ledger + look * _PARTITIONS
        client.command(
            _LEDGER.format(since=added, count=_PARTITIONS, partitions=_PARTITIONS, total=ledger)
        )
        client.command(_JOBS.format(since=since, count=_NEW_JOBS))
        client.command(_LABELS.format(since=since * 20, count=_NEW_JOBS * 20))
        new: list[Any] = []

        def look_now(since: int = since, until: int = jobs, new: list[Any] = new) -> None:
            new += told.entries(known, [], datetime.now(UTC))
            if missing := told.missing_jobs("j", {0: (since, until)}):
                raise SystemExit(f"jobs without labels that have them: {missing[:3]}")

        costs.append(meter.cpu_ms(look_now))
        for place, entry in new:
            known[place].add(entry)
        taken_in += len(new)
    # Means: a server's processor time is told in steps of 10 ms.
    cost_ms = statistics.mean(costs)
    asks = [
        meter.cpu_ms(partial(meter.query, _ONE_JOB, parameters={"job": job}))
        for job in range(0, jobs, max(1, jobs // 50))
    ]
    print(f"{labels:,} labels, {ledger:,} ledger rows; means of {_LOOKS} looks")
    print(
        f"a look at what is new          {cost_ms:8.1f} ms CPU, limit {_LIMIT_MS:g}: "
        f"ratio {cost_ms / _LIMIT_MS:.2f} ({taken_in} ledger rows, {_LOOKS * _NEW_JOBS} jobs)"
    )
    print(f"labels of one job, for the grader {statistics.mean(asks):5.1f} ms CPU")
    return cost_ms <= _LIMIT_MS


if __name__ == "__main__":
    raise SystemExit(main())
