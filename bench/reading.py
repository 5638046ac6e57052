"""What it costs a trainer to read a million labels: time and memory must stay far below its work's.

    python bench/reading.py [--labels 1000000]

Fills the embedded ClickHouse with that many labels (20 of each sampled query), five searches of
each query with 20 candidates, and an index of 100,000 chunks, and reads what a training cycle
reads. The exit status is 1 when the grades take more than 10 s or this process more than 2 GB.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from clickhouse_connect.driver.client import Client

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.trainers.data.store import WheelReader

_LIMIT_S = 10.0
_LIMIT_MB = 2_000.0
_CHUNKS = 100_000
_READS = ("grades", "sampled_queries", "logged_rankings", "corpus")

_FILL = (
    """
INSERT INTO labels
    (label_id, job_id, role, source, query_id, query, query_hash, segment, chunk_hash, status,
     grade, grader_id, model, rubric_version, stratum, inclusion_probability, ts, graded_at)
SELECT toFixedString(sipHash128(number, 'label'), 16), toFixedString(sipHash128(job, 'job'), 16),
    'label', 'llm', concat('q-', toString(job)), concat('how do I do thing ', toString(job)),
    toFixedString(sipHash128(job, 'query'), 16), 'code',
    toFixedString(sipHash128((job * 7 + number % 20) % {chunks}), 16), 'graded',
    if(number % 20 = 0, 3, 0), 'm@1', 'm', '1', 'code', 0.05, now64(3),
    now64(3) - toIntervalMillisecond(number)
FROM (SELECT number, intDiv(number, 20) AS job FROM numbers({labels}))
""",
    """
INSERT INTO grading_jobs
    (job_id, role, query_id, query, query_hash, segment, ts, stratum, inclusion_probability,
     chunk_hashes)
SELECT toFixedString(sipHash128(number, 'job'), 16), 'label', concat('q-', toString(number)),
    concat('how do I do thing ', toString(number)),
    toFixedString(sipHash128(number, 'query'), 16), 'code', now64(3), 'code', 0.05,
    arrayMap(p -> toFixedString(sipHash128((number * 7 + p) % {chunks}), 16), range(20))
FROM numbers(intDiv({labels}, 20))
""",
    """
INSERT INTO retrievals
    (event_id, query_id, ts, segment, query, query_hash, stage, chunk_ids, chunk_hashes, ranks,
     scores, in_context)
SELECT toString(number), concat('s-', toString(number)), now64(3), 'code', 'x',
    toFixedString(sipHash128(toUInt64(number % intDiv({labels}, 20)), 'query'), 16), 'dense',
    arrayMap(p -> toString(p), range(20)),
    arrayMap(p -> toFixedString(sipHash128((number * 7 + p) % {chunks}), 16), range(20)),
    range(1, 21), arrayMap(p -> 1 / (p + 1), range(20)), arrayMap(p -> false, range(20))
FROM (SELECT toUInt64(number) AS number FROM numbers(intDiv({labels}, 4)))
""",
    """
INSERT INTO index_entries (index_version, chunk_id, chunk_hash, ts)
SELECT 'v1', toString(number), toFixedString(sipHash128(number), 16), now64(3)
FROM numbers({chunks})
""",
    """
INSERT INTO chunks (chunk_hash, text, ts)
SELECT toFixedString(sipHash128(number), 16), repeat('some words of a chunk ', 15), now64(3)
FROM numbers({chunks})
""",
)


def peak_mb() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(client: Client) -> bool:
    """Read everything and keep it, as a cycle does; print what it costs."""
    store, kept, grades_s = WheelReader(client), [], 0.0
    for name in _READS:
        wall, cpu = time.perf_counter(), time.process_time()
        kept.append(getattr(store, name)())
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        grades_s = grades_s or wall
        print(f"{name:<18}{wall:6.1f} s, {cpu:.1f} s CPU of ours; peak {peak_mb():,.0f} MB")
    print(f"grades: ratio {grades_s / _LIMIT_S:.2f} to {_LIMIT_S:g} s")
    print(f"memory: ratio {peak_mb() / _LIMIT_MB:.2f} to {_LIMIT_MB:g} MB")
    return grades_s <= _LIMIT_S and peak_mb() <= _LIMIT_MB


def main() -> int:
    """Measure and print; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--labels", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ClickHouseFront(Path(folder) / "front") as front,
    ):
        settings = load(ClickHouseSettings, clickhouse_url=front.url("bench"))
        client = connect(settings, create_database=True)
        migrate(client)
        for sql in _FILL:
            client.command(sql.format(labels=arguments.labels, chunks=_CHUNKS))
        good = measure(client)
        client.close()
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
