"""The lock of the broker's jars, and what happens when a jar is not the locked one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ragwheel.schemas.errors import TerminalError
from ragwheel.stack.kafka import KAFKA_VERSION, JarMismatchError, prepare
from ragwheel.stack.kafka.jars import default_cache_dir
from ragwheel.stack.kafka.lock import JarPin, format_lock, parse_lock, read_lock

_GOOD = b"the bytes of a jar"
_PIN = JarPin("org.example:lib:1.0", hashlib.sha256(_GOOD).hexdigest())


def place(cache_dir: Path, content: bytes) -> Path:
    path = cache_dir / "kafka" / KAFKA_VERSION / _PIN.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_the_committed_lock_holds_the_broker_and_its_log_binding_once_and_sorted() -> None:
    pins = read_lock()
    coordinates = [pin.coordinate for pin in pins]
    assert f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}" in coordinates
    assert any(pin.file_name.startswith("log4j-slf4j-impl-") for pin in pins)
    assert coordinates == sorted(set(coordinates))
    assert len({pin.file_name for pin in pins}) == len(pins), "jars share one directory"


def test_a_lock_reads_back_as_written() -> None:
    pins = (JarPin("a:b:1", "0" * 64), JarPin("c:d:2.0-x", "f" * 64))
    assert parse_lock(format_lock(reversed(pins))) == pins
    assert "python -m ragwheel.stack.kafka.relock" in format_lock(pins)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("abc  a:b:1", "line 1: 'abc' is not a SHA-256"),
        ("F" * 64 + "  a:b:1", "is not a SHA-256"),
        ("0" * 64 + "  a:b", "line 1: 'a:b' is not group:artifact:version"),
    ],
)
def test_a_broken_line_of_the_lock_is_named(line: str, complaint: str) -> None:
    with pytest.raises(TerminalError, match=complaint):
        parse_lock(line)


def test_jars_that_are_there_and_right_need_no_network(tmp_path: Path) -> None:
    path = place(tmp_path, _GOOD)
    assert prepare(cache_dir=tmp_path, pins=[_PIN]) == [path]


def test_a_changed_jar_is_refused_with_both_sums_and_the_fix(tmp_path: Path) -> None:
    path = place(tmp_path, b"tampered with")
    with pytest.raises(JarMismatchError) as refused:
        prepare(cache_dir=tmp_path, pins=[_PIN])
    message = str(refused.value)
    for part in (
        "lib-1.0.jar",
        _PIN.sha256,
        hashlib.sha256(b"tampered with").hexdigest(),
        str(path),
        "Delete that file and run the same command again",
    ):
        assert part in message
    assert path.read_bytes() == b"tampered with", "evidence is not destroyed"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"RAGWHEEL_CACHE_DIR": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/ragwheel"),
        ({"HOME": "/home/someone"}, "/home/someone/.cache/ragwheel"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAGWHEEL_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_cache_dir() == Path(expected)
