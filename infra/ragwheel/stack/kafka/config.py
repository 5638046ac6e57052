"""The broker's configuration: one KRaft node, its replication factors 1, sized for a laptop."""

from __future__ import annotations

from pathlib import Path

from ragwheel.schemas.limits import MAX_MESSAGE_BYTES

NODE_ID = 1

#: JVM options: small heap, one collector thread, quick start rather than peak speed.
JVM_OPTIONS = (
    "-Xmx512m",
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    # The native codecs (zstd, lz4, snappy) are asked for on purpose; without these Java 24+ warns.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)


def server_properties(*, log_dir: Path, broker_port: int, controller_port: int) -> str:
    """The text of `server.properties`.

    Args:
        log_dir: where messages are stored (Kafka calls its data "logs").
        broker_port: clients connect to 127.0.0.1:broker_port.
        controller_port: for the node's own metadata quorum, on loopback too.
    """
    properties = {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "listeners": (
            f"CLIENTS://127.0.0.1:{broker_port},CONTROLLER://127.0.0.1:{controller_port}"
        ),
        "advertised.listeners": f"CLIENTS://127.0.0.1:{broker_port}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": log_dir,
        # A misspelt topic must be an error, not a new topic. Ours come from the topic registry.
        "auto.create.topics.enable": "false",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        # One node cannot replicate; few partitions because each costs files and start-up time.
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 4,
        # A group of one should start at once, and a killed worker's partitions move on soon.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # After kill -9 the node waits until its own former session has expired. Heartbeats stay
        # inside the process, so 2 s without one needs a machine that is stalled anyway.
        "broker.session.timeout.ms": 2000,
        "broker.heartbeat.interval.ms": 250,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())
