"""The committed list of the broker's jars, each with its SHA-256.

`ragwheel.stack.kafka.relock` writes it; every download and every start is held to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ragwheel.schemas.errors import TerminalError

KAFKA_VERSION = "4.3.0"
LOCK_PATH = Path(__file__).with_name("kafka.lock")

_HEADER = f"""\
# The jars of Apache Kafka {KAFKA_VERSION}: SHA-256 and Maven coordinate, sorted by coordinate.
# Regenerate after changing a version in lock.py or relock.py: python -m ragwheel.stack.kafka.relock
"""


@dataclass(frozen=True, slots=True, order=True)
class JarPin:
    """One jar that we accept.

    Attributes:
        coordinate: `group:artifact:version`.
        sha256: 64 lower-case hex digits.
    """

    coordinate: str
    sha256: str

    @property
    def file_name(self) -> str:
        """`artifact-version.jar`, as Maven repositories name it."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def parse_lock(text: str) -> tuple[JarPin, ...]:
    """Reads the lock's text.

    Raises:
        TerminalError: a line is not `<sha256>  <group:artifact:version>`.
    """
    pins = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        sha256, _, coordinate = line.partition("  ")
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise TerminalError(f"kafka.lock line {number}: {sha256!r} is not a SHA-256 in hex")
        if coordinate.count(":") != 2:
            raise TerminalError(
                f"kafka.lock line {number}: {coordinate!r} is not group:artifact:version"
            )
        pins.append(JarPin(coordinate, sha256))
    return tuple(pins)


def format_lock(pins: Iterable[JarPin]) -> str:
    """The lock's text; `parse_lock` reads it back."""
    return _HEADER + "".join(f"{pin.sha256}  {pin.coordinate}\n" for pin in sorted(pins))


def read_lock() -> tuple[JarPin, ...]:
    """The committed lock."""
    return parse_lock(LOCK_PATH.read_text(encoding="utf-8"))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
