"""Alertmanager as docker-compose.yml starts it: by its script, from variables alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

START = Path(__file__).parents[2] / "infra/ragwheel/observability/alertmanager/start.sh"


def require_alertmanager() -> str:
    """The program's path; skips where it is not installed, fails in CI."""
    # Debian's package names it so.
    found = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    if found is None:
        why = "alertmanager is not installed (Debian: apt install prometheus-alertmanager)"
        if os.environ.get("RAGWHEEL_CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


def start(
    folder: Path, program: str, variables: Mapping[str, str], *arguments: str
) -> subprocess.Popen[str]:
    """Run the script with `program` as its Alertmanager; its configuration lies in `folder`."""
    (folder / "alertmanager").unlink(missing_ok=True)
    (folder / "alertmanager").symlink_to(program)
    return subprocess.Popen(
        ["sh", str(START), *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def configured(folder: Path, **variables: str) -> tuple[int, str, str]:
    """What the script writes and says: exit status, configuration, standard error."""
    process = start(folder, shutil.which("true") or "/bin/true", variables)
    _, said = process.communicate(timeout=30)
    written = folder / "alertmanager.yml"
    return process.returncode, written.read_text("utf-8") if written.exists() else "", said
