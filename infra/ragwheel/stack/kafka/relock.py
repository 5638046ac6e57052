"""Rewrites `kafka.lock`: `python -m ragwheel.stack.kafka.relock`.

Resolves the broker's dependencies anew, from the network. Review the difference before committing
it: these sums are what every later download is held to.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ragwheel.stack.kafka.lock import (
    KAFKA_VERSION,
    LOCK_PATH,
    JarPin,
    file_sha256,
    format_lock,
)
from ragwheel.stack.kafka.maven import MavenJars

_BROKER = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# The broker's own dependencies stop at slf4j-api: without a binding its log, hence the reason why
# it did not start, goes nowhere. Not resolved together: that would change the broker's versions.
_LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"


def main() -> None:
    """Resolves the broker's dependencies, hashes every jar and rewrites the committed lock."""
    with tempfile.TemporaryDirectory() as directory:
        maven = MavenJars(Path(directory))
        coordinates = {*maven.resolve(_BROKER), _LOG_BINDING}
        pins = [
            JarPin(coordinate, file_sha256(maven.download(coordinate)))
            for coordinate in coordinates
        ]
    LOCK_PATH.write_text(format_lock(pins), encoding="utf-8")
    sys.stdout.write(f"{LOCK_PATH}: {len(pins)} jars\n")


if __name__ == "__main__":
    main()
