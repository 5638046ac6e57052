"""The Faust application: reads grading jobs, acknowledges them in order. Thin.

Faust 0.15.3 is used only in the ways that were seen to be safe under kill, SIGTERM and rebalance
(docs/decisions): raw bytes, one agent with concurrency 1, manual acknowledgement through
`OrderedWindow`, no exception out of the agent, topics created by us, no web server, no tables.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faust
from faust.types import TP
from faust.types.auth import CredentialsT

from ragwheel.backends import kafka
from ragwheel.grading.tokens import ClientCredentials
from ragwheel.grading.window import OrderedWindow
from ragwheel.schemas.settings import GraderSettings
from ragwheel.schemas.wire import Received

_LOG = logging.getLogger(__name__)

#: Heartbeats, from a thread of their own, are the proof of life. The poll interval would take a
#: worker that obeys a long Retry-After for dead.
_MAX_POLL_INTERVAL_S = 7 * 86_400.0
#: Jobs under way get this long when partitions are taken away; the group waits meanwhile.
_REBALANCE_GRACE_S = 2.0
_COMMIT_INTERVAL_S = 1.0
#: Jobs may carry their texts, so a few hundred are some megabytes.
_BUFFERED_JOBS = 256


Handler = Callable[[Received], Awaitable[None]]
"""Returns when everything that follows from a message is durable. Never raises."""


def create_app(
    settings: GraderSettings, handle: Handler, window: OrderedWindow, data_dir: Path
) -> faust.App:
    """Build the application. Reads nothing and connects to nothing yet.

    Args:
        data_dir: Faust insists on a folder; nothing is kept in it.
    """
    session_s = settings.session_timeout_s
    app = faust.App(
        settings.grader_group,
        broker=[f"kafka://{each}" for each in settings.kafka_bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        datadir=data_dir,
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=_COMMIT_INTERVAL_S,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=min(3.0, session_s / 5),
        broker_rebalance_timeout=max(session_s, 30.0),
        broker_request_timeout=max(session_s, 60.0) + 30.0,
        broker_max_poll_interval=_MAX_POLL_INTERVAL_S,
        broker_max_poll_records=_BUFFERED_JOBS,
        stream_buffer_maxsize=_BUFFERED_JOBS,
        # With manual acknowledgement nothing is acknowledged for us, so there is nothing to wait
        # for: `let_go` and `finish` decide how long work under way may take.
        stream_wait_empty=False,
    )
    topic = app.topic(
        kafka.physical(settings, "grading"), key_type=bytes, value_type=bytes, internal=False
    )

    @app.agent(topic, name="grade", concurrency=1)
    async def grade(stream: Any) -> None:
        await read(stream.noack().events(), handle, window)

    window.source = _Partitions(app, topic.get_topic_name())

    async def take(_: Any, assigned: Collection[TP], **__: Any) -> None:
        """Each partition has a share of the window, so that a stuck job holds up its own alone."""
        window.divide(len(assigned))

    async def let_go(*_: Any, **__: Any) -> None:
        """Before another worker takes over: finish what is quick, leave the rest to it."""
        await window.drain(_REBALANCE_GRACE_S)
        left = await window.abandon()
        if left:
            _LOG.info("partitions are reassigned, %d jobs will be delivered again", left)

    async def finish(*_: Any, **__: Any) -> None:
        """At SIGTERM, after the consumer stopped fetching and before its last commit."""
        await window.drain(settings.grader_stop_s)
        left = await window.abandon()
        _LOG.info("stopped with %d jobs unfinished; they stay in Kafka", left)

    # Signals are typed for functions that return a coroutine or None, but not for `async def`.
    assigned: Any = app.on_partitions_assigned
    revoked: Any = app.on_partitions_revoked
    before_shutdown: Any = app.on_before_shutdown
    assigned.connect(take)
    revoked.connect(let_go)
    before_shutdown.connect(finish)
    return app


@dataclass(frozen=True, slots=True)
class _Partitions:
    """The window's source, by the way that Faust itself stops a partition when its buffer is full.

    Never by `pause_partitions`: with it Faust 0.15.3 drops the records that it has fetched already,
    and takes the hole for done (`Consumer.getmany`, `_add_gap`). What was fetched still comes.
    When Faust's own buffer has emptied it takes a partition up again; then the window says `pause`
    anew with the next message.
    """

    app: faust.App
    topic: str

    def pause(self, lane: int) -> None:
        self.app.consumer.on_buffer_full(TP(self.topic, lane))

    def resume(self, lane: int) -> None:
        self.app.consumer.on_buffer_drop(TP(self.topic, lane))


async def read(events: AsyncIterator[Any], handle: Handler, window: OrderedWindow) -> None:
    """Submit every Faust event to the window, each partition in its order."""
    async for event in events:
        message = event.message
        message = Received(
            topic="grading",
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value,
            timestamp_ms=round((message.timestamp or 0.0) * 1000),
        )
        window.submit(message.partition, partial(handle, message), event.ack)


def _credentials(settings: GraderSettings) -> CredentialsT | None:
    """The settings in Faust's terms."""
    protocol = settings.kafka_security_protocol
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_ca_location or None)
        if settings.kafka_ssl_certificate_location:
            context.load_cert_chain(
                settings.kafka_ssl_certificate_location,
                settings.kafka_ssl_key_location or None,
                settings.kafka_ssl_key_password.get_secret_value(),
            )
    if protocol.startswith("SASL") and settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return faust.OAuthCredentials(oauth_cb=ClientCredentials(settings), ssl_context=context)
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password.get_secret_value(),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None
