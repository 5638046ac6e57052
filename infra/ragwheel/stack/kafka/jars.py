"""The broker's jars on this machine: fetched once, verified every time.

They live in `<cache>/kafka/<version>/`; `<cache>` is `RAGWHEEL_CACHE_DIR`, or the platform's place
for such files (Linux: `XDG_CACHE_HOME`, else `~/.cache`, and `ragwheel` in it). A jar gets there by
an atomic rename after its sum was checked, and its sum is checked again before each start (45 MB,
about 50 ms).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from ragwheel.backends.files import put_in_place
from ragwheel.schemas.errors import TerminalError
from ragwheel.stack.kafka.lock import KAFKA_VERSION, LOCK_PATH, JarPin, file_sha256, read_lock
from ragwheel.stack.kafka.maven import MavenJars

#: Called with (jars done, jars in total, name of the jar just done) while jars are fetched.
JarProgress = Callable[[int, int, str], None]

# More gains nothing against one repository and is impolite.
_PARALLEL_DOWNLOADS = 4


class JarMismatchError(TerminalError):
    """A jar is not the one that was locked. Nothing is started with it."""


def default_cache_dir() -> Path:
    """Where ragwheel keeps what it downloads, outside any repository."""
    own = os.environ.get("RAGWHEEL_CACHE_DIR")
    return Path(own).expanduser() if own else user_cache_path("ragwheel")


def prepare(
    progress: JarProgress | None = None,
    *,
    cache_dir: Path | None = None,
    pins: Sequence[JarPin] | None = None,
) -> list[Path]:
    """Makes all jars available and verified; needs a network only for those not yet there.

    Safe to call from several processes at once: one fetches, the others wait.

    Args:
        progress: called after each fetched jar.
        cache_dir: instead of `default_cache_dir()`.
        pins: instead of the committed lock.

    Returns:
        The jars' paths, in the lock's order.

    Raises:
        JarMismatchError: a jar differs from the lock.
        DependencyError: a jar cannot be downloaded.
    """
    pins = read_lock() if pins is None else pins
    directory = (cache_dir or default_cache_dir()) / "kafka" / KAFKA_VERSION
    if _missing(pins, directory):
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / "lock"):
            _fetch(_missing(pins, directory), directory, progress)
    for pin in pins:
        _verify(
            directory / pin.file_name,
            pin,
            fix="Delete that file and run the same command again to fetch a fresh copy.",
        )
    return [directory / pin.file_name for pin in pins]


def _missing(pins: Sequence[JarPin], directory: Path) -> list[JarPin]:
    return [pin for pin in pins if not (directory / pin.file_name).exists()]


def _fetch(pins: Sequence[JarPin], directory: Path, progress: JarProgress | None) -> None:
    if not pins:
        return
    # Beside the target, so that the final rename stays within one file system.
    with tempfile.TemporaryDirectory(
        prefix="fetching-", dir=directory, ignore_cleanup_errors=True
    ) as staging:
        maven = MavenJars(Path(staging))

        def fetch_one(pin: JarPin) -> JarPin:
            path = maven.download(pin.coordinate)
            _verify(
                path,
                pin,
                fix="It was discarded. Check what stands between this machine and the repository; "
                "if the jar was changed on purpose, run python -m ragwheel.stack.kafka.relock.",
            )
            put_in_place(path, directory / pin.file_name)
            return pin

        with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
            # One that fails cancels those that have not begun.
            for done, pin in enumerate(pool.map(fetch_one, pins), start=1):
                if progress is not None:
                    progress(done, len(pins), pin.file_name)


def _verify(path: Path, pin: JarPin, *, fix: str) -> None:
    actual = file_sha256(path)
    if actual != pin.sha256:
        raise JarMismatchError(
            f"{path.name} is not the jar that {LOCK_PATH.name} names: expected SHA-256 "
            f"{pin.sha256}, but {path} has {actual}. {fix}"
        )
