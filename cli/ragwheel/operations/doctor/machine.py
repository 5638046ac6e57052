"""The machine: interpreter, memory, disk, programs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import psutil

from ragwheel.operations.doctor.finding import Finding, fail, ok, warn

OLDEST_PYTHON = (3, 11)
_GIB = 1024**3
# The demo's stack with training takes about 3 GiB; a broker without disk loses its log.
_ENOUGH_MEMORY, _LEAST_MEMORY = 4 * _GIB, 2 * _GIB
_ENOUGH_DISK, _LEAST_DISK = 5 * _GIB, _GIB


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether the interpreter is new enough."""
    shown = ".".join(map(str, version))
    if version[:2] < OLDEST_PYTHON:
        return fail("python", shown, "use Python 3.11 or newer: make PYTHON=python3.12 setup")
    return ok("python", f"{shown} on {platform.system()} {platform.machine()}")


def memory() -> Finding:
    """Whether the stack and a training fit."""
    available = available_memory()
    shown = f"{available / _GIB:.1f} GiB available"
    if available >= _ENOUGH_MEMORY:
        return ok("memory", shown)
    level = fail if available < _LEAST_MEMORY else warn
    return level("memory", shown, "close something: broker, engine and training want 4 GiB")


def available_memory() -> int:
    """Bytes that could be used without swapping."""
    return int(psutil.virtual_memory().available)


def disk(folder: Path) -> Finding:
    """Whether there is room where the stack writes."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    shown = f"{free / _GIB:.0f} GiB free for {folder}"
    if not os.access(existing, os.W_OK):
        return fail("disk", f"{existing} is not writable", "choose another with --home DIR")
    if free >= _ENOUGH_DISK:
        return ok("disk", shown)
    level = fail if free < _LEAST_DISK else warn
    return level("disk", shown, "free some space or choose another place with --home DIR")


def program(name: str, purpose: str, install: str) -> Finding:
    """Whether an optional program is on the path."""
    found = shutil.which(name)
    if found is None:
        return warn(name, f"not found; {purpose}", install)
    return ok(name, found)
