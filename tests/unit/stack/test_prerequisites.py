"""What the doctor says about a local stack."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ragwheel.stack import prerequisites
from ragwheel.stack.kafka.lock import KAFKA_VERSION, JarPin


def _jars(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pins = [JarPin(f"g:{name}:1", hashlib.sha256(name.encode()).hexdigest()) for name in "ab"]
    monkeypatch.setattr(prerequisites, "read_lock", lambda: pins)
    jars = folder / "kafka" / KAFKA_VERSION
    jars.mkdir(parents=True)
    for pin in pins:
        (jars / pin.file_name).write_text(pin.coordinate.split(":")[1])
    return jars


def test_intact_jars_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _jars(tmp_path, monkeypatch)
    assert prerequisites.jars(tmp_path).level == "ok"


def test_missing_jars_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (_jars(tmp_path, monkeypatch) / "b-1.jar").unlink()
    finding = prerequisites.jars(tmp_path)
    assert (finding.level, finding.detail[:6]) == ("warn", "1 of 2")


def test_a_changed_jar_fails_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (_jars(tmp_path, monkeypatch) / "b-1.jar").write_text("other")
    finding = prerequisites.jars(tmp_path)
    assert finding.level == "fail"
    assert "b-1.jar" in finding.detail
