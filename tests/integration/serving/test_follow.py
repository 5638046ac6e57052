"""Promotions reach a follower through Kafka or through the store, and what a killed one left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.rigs.following import DeclaredHere, Promoting
from tests.rigs.servers import SharedKafka
from tests.rigs.trainer_world import NOON

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.kafka import create_topics
from ragwheel.backends.migrate import migrate
from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import IndexEvent
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.schemas.tables import INDEXES
from ragwheel.serving.declared import DeclaredIndexes
from ragwheel.serving.follow import ModelFollower

pytestmark = pytest.mark.integration


def eventually(holds: Callable[[], bool], within_s: float = 60) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def promoting(tmp_path: Path) -> Promoting:
    return Promoting.at(tmp_path)


def hearing(
    promoting: Promoting, kafka: KafkaSettings, look_s: float = 3_600, **changes: object
) -> ModelFollower:
    settings = promoting.settings(
        kafka_bootstrap_servers=kafka.kafka_bootstrap_servers, topic_prefix=kafka.topic_prefix,
        **changes,
    )  # fmt: skip
    declared = DeclaredHere(promoting.encoder().fingerprint)
    return ModelFollower(settings, declarations=declared, look_s=look_s)


def tell(promoting: Promoting, kafka: KafkaSettings) -> None:
    """Send what the settlement published since the last time."""
    Publisher(kafka).publish([Outgoing.of("models", each) for each in promoting.events])
    promoting.events.clear()


def test_the_topic_alone_is_enough_when_the_pointer_is_gone(
    promoting: Promoting, kafka_broker: SharedKafka, kafka_settings: KafkaSettings
) -> None:
    create_topics(kafka_settings)
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    tell(promoting, kafka_settings)
    pointer = Path(promoting.store.url.removeprefix("file://")) / "current.json"
    pointer.unlink()
    with hearing(promoting, kafka_settings) as follower:
        eventually(lambda: follower.current().model_id == one)
        promoting.promote(two)
        pointer.unlink()
        tell(promoting, kafka_settings)
        eventually(lambda: follower.current().model_id == two)
        promoting.roll_back()
        pointer.unlink()
        tell(promoting, kafka_settings)
        eventually(lambda: follower.current().model_id == one)
        assert follower.state().swaps == 3


def test_the_pointer_alone_is_enough_when_kafka_is_gone(promoting: Promoting) -> None:
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    nobody = KafkaSettings(kafka_bootstrap_servers="127.0.0.1:9", topic_prefix="gone.")
    with hearing(promoting, nobody, look_s=0.1) as follower:
        assert follower.current().model_id == one
        promoting.promote(two)
        eventually(lambda: follower.current().model_id == two)


def test_what_an_index_declares_is_read_from_clickhouse(
    clickhouse_settings: ClickHouseSettings,
) -> None:
    declared = DeclaredIndexes(clickhouse_settings)
    with pytest.raises(UnavailableError, match="index 'docs' declares cannot be read"):
        declared.fingerprint_of("docs")
    client = connect(clickhouse_settings, create_database=True)
    migrate(client)
    assert declared.fingerprint_of("docs") == ""
    said = [("1", "old", True, 0), ("2", "new", True, 1), ("3", "unfinished", False, 2)]
    for version, fingerprint, complete, hours in said:
        event = IndexEvent(
            index="docs", index_version=version, ts=NOON.replace(hour=hours), complete=complete,
            chunks=1, document_fingerprint=fingerprint,
        )  # fmt: skip
        row = (event.index, event.index_version, event.ts, event.complete, event.chunks, "",
               event.document_fingerprint, "", 0, "")  # fmt: skip
        client.insert(INDEXES.name, [row], column_names=INDEXES.columns)
    client.close()
    assert declared.fingerprint_of("docs") == "new"
    assert declared.fingerprint_of("code") == ""


SERVES = """
import sys
from pathlib import Path
from tests.rigs.following import DeclaredHere, Promoting
from ragwheel.serving import arrivals
promoting = Promoting(Path(sys.argv[1]), sys.argv[2])
agree = arrivals.require_agreement
def slow(*args):
    result = agree(*args)
    print("in mid-swap", flush=True)
    sys.stdin.readline()
    return result
with promoting.follower() as follower:
    print(follower.current().model_id, flush=True)
    arrivals.require_agreement = slow
    sys.stdin.readline()
    follower.look()
"""


@pytest.mark.slow
def test_a_follower_that_is_killed_in_mid_swap_starts_on_the_alias(promoting: Promoting) -> None:
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    child = subprocess.Popen(
        [sys.executable, "-c", SERVES, str(promoting.folder), promoting.base],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline().strip() == one
        promoting.promote(two)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline().strip() == "in mid-swap"
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.communicate()
    with promoting.follower() as follower:
        assert follower.current().model_id == two
