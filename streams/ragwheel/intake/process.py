"""The intake process: connections, signals, and everything that intake needs, put together."""

from __future__ import annotations

import logging
import random
from datetime import UTC, datetime

from ragwheel.backends import kafka, process
from ragwheel.backends.forgotten import ForgottenReader
from ragwheel.backends.migrate import open_tables
from ragwheel.backends.positions import Broker
from ragwheel.backends.publish import Publisher
from ragwheel.backends.redaction import load_redactor
from ragwheel.backends.spending_log import SpendingLog
from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence
from ragwheel.intake.consumer import GroupMember
from ragwheel.intake.following import Following
from ragwheel.intake.gauges import Freshness, declare
from ragwheel.intake.inserts import ClickHouseInserts
from ragwheel.intake.outlet import KafkaOutlet
from ragwheel.intake.pacing import Pacing
from ragwheel.intake.prepare import Acceptance
from ragwheel.intake.processor import Processor
from ragwheel.intake.readers import READERS
from ragwheel.intake.sampling import SamplingPolicy
from ragwheel.schemas.acceptance import Times
from ragwheel.schemas.settings import IntakeSettings

_LOG = logging.getLogger(__name__)

# Unacknowledged for so long, a message counts as failed; it is then logged and sent again.
_DELIVERY_S = 15
# The loop turns ten times a second; an insert that is not answered may hold it for two minutes.
_TURN_S = 300


def main() -> int:
    """Run intake until SIGTERM or Ctrl-C; returns the exit status."""
    return process.main("intake", IntakeSettings, run)


def run(settings: IntakeSettings, telemetry: Telemetry) -> None:
    """Consume until a signal says stop.

    docs/dead-letters.md says what happens when Kafka or ClickHouse vanish later.

    Raises:
        ConfigError, UnavailableError: before any message was read; topics or tables that are
            missing are for `ragwheel topics` and `ragwheel migrate` to make.
    """
    # The driver logs a traceback for each value that does not fit, and its connection pool each
    # attempt; we say both once, in our words.
    for name in ("clickhouse_connect", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    redactor = load_redactor(settings)
    kafka.require_topics(settings)
    client = open_tables(settings)

    declare(telemetry)
    broker = Broker(settings)
    freshness = Freshness(telemetry, _now)

    spending = SpendingLog(settings)
    pacing = Pacing(spending, telemetry, _now)
    pacing.start()

    def turn() -> None:
        telemetry.turned(_TURN_S)
        pacing.refresh()
        freshness.show()

    member = GroupMember(
        kafka.consumer(
            settings,
            settings.intake_group,
            session_timeout_ms=int(settings.session_timeout_s * 1000),
        ),
        Following(broker, settings.intake_group),
        telemetry,
        topics=READERS,
        prefix=settings.topic_prefix,
        batch_rows=settings.intake_batch_rows,
        batch_bytes=settings.intake_batch_mib * 1024 * 1024,
        batch_s=settings.intake_batch_s,
        on_turn=turn,
    )
    persistence = Persistence(member.keep_alive, random.random)
    publisher = Publisher(settings, timeout_s=_DELIVERY_S, while_waiting=member.keep_alive)
    outlet = KafkaOutlet(publisher)
    forgotten = ForgottenReader(client)
    processor = Processor(
        Acceptance(
            SamplingPolicy.of(settings, pacing.factor),
            Times.of(settings),
            forgotten.tombstones,
            redactor,
        ),
        ClickHouseInserts(client, persistence, telemetry),
        outlet,
        persistence,
        telemetry,
        freshness,
        _now,
        forgotten.refresh,
    )
    process.on_stop(member.stop)
    telemetry.serve(settings)
    _LOG.info("intake consumes %s* as %r", settings.topic_prefix, settings.intake_group)
    try:
        member.run(processor)
    finally:
        outlet.close()
        spending.close()
        broker.close()
        client.close()
    _LOG.info("intake ended")


def _now() -> datetime:
    return datetime.now(UTC)
