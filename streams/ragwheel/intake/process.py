"""The intake process: settings, connections, signals, exit status. `python -m ragwheel.intake`."""

from __future__ import annotations

import logging
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import ClickHouseError

from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.backends.telemetry import Telemetry, configure_logging
from ragwheel.intake.backoff import Persistence
from ragwheel.intake.consumer import GroupMember
from ragwheel.intake.gauges import Freshness, declare
from ragwheel.intake.inserts import ClickHouseInserts
from ragwheel.intake.outlet import KafkaOutlet
from ragwheel.intake.prepare import Acceptance
from ragwheel.intake.processor import Processor
from ragwheel.intake.readers import READERS
from ragwheel.intake.sampling import SamplingPolicy
from ragwheel.schemas.errors import RagwheelError, UnavailableError
from ragwheel.schemas.settings import IntakeSettings, load

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LOG = logging.getLogger(__name__)

_MIGRATION_ATTEMPTS = 5
# Unacknowledged for so long, a message counts as failed; it is then logged and sent again.
_DELIVERY_S = 15


def main() -> int:
    """Run intake until SIGTERM or Ctrl-C.

    Returns:
        Exit status: 0 after an orderly end, 78 for a wrong setting, 69 when Kafka or ClickHouse
        does not answer at start (docs/dead-letters.md says what happens when they vanish later).
    """
    try:
        settings = load(IntakeSettings)
        configure_logging(settings.log_level)
        run(settings)
    except RagwheelError as error:
        logging.basicConfig(format="%(message)s")
        _LOG.critical("%s", error)
        return error.exit_code
    return 0


def run(settings: IntakeSettings) -> None:
    """Prepare topics and tables, consume until a signal says stop.

    Raises:
        ConfigError, UnavailableError: before any message was read.
    """
    # The driver logs a traceback for each value that does not fit, and its connection pool each
    # attempt; we say both once, in our words.
    for name in ("clickhouse_connect", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    kafka.require_broker(settings)
    client = connect(settings, create_database=True)
    migrate_beside_others(client, replicated=settings.clickhouse_replicated)
    kafka.create_topics(settings)

    telemetry = Telemetry()
    declare(telemetry)
    freshness = Freshness(telemetry, _now)
    member = GroupMember(
        kafka.consumer(
            settings,
            settings.intake_group,
            session_timeout_ms=int(settings.session_timeout_s * 1000),
        ),
        telemetry,
        topics=READERS,
        prefix=settings.topic_prefix,
        batch_rows=settings.intake_batch_rows,
        batch_bytes=settings.intake_batch_mib * 1024 * 1024,
        batch_s=settings.intake_batch_s,
        on_turn=freshness.show,
    )
    persistence = Persistence(member.keep_alive, random.random)
    outlet = KafkaOutlet(
        lambda: kafka.producer(settings, message_timeout_ms=_DELIVERY_S * 1000),
        lambda topic: kafka.physical(settings, topic),
        member.keep_alive,
    )
    processor = Processor(
        Acceptance(
            SamplingPolicy.of(settings),
            timedelta(days=settings.max_event_age_days),
            timedelta(seconds=settings.max_event_ahead_s),
        ),
        ClickHouseInserts(client, persistence, telemetry),
        outlet,
        persistence,
        telemetry,
        freshness,
        _now,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: member.stop())
    telemetry.serve(settings)
    _LOG.info("intake consumes %s* as %r", settings.topic_prefix, settings.intake_group)
    try:
        member.run(processor)
    finally:
        outlet.close()
        client.close()
    _LOG.info("intake ended")


def migrate_beside_others(client: Client, *, replicated: bool) -> None:
    """Apply missing migrations, while other processes may do the same.

    Every statement is `IF NOT EXISTS`; two runners can still trip over each other's half-made
    table, which is over a moment later.

    Raises:
        UnavailableError: it failed several times.
    """
    for attempt in range(1, _MIGRATION_ATTEMPTS + 1):
        try:
            applied = migrate(client, replicated=replicated)
        except ClickHouseError as error:
            if attempt == _MIGRATION_ATTEMPTS:
                raise UnavailableError(f"ClickHouse refused the migrations: {error}") from error
            time.sleep(0.2 * attempt)
            continue
        if applied:
            _LOG.info("applied migrations: %s", ", ".join(m.name for m in applied))
        return


def _now() -> datetime:
    return datetime.now(UTC)
