"""Fetching the broker's jars with jgo, from a Maven repository on loopback."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ragwheel.schemas.errors import DependencyError
from ragwheel.stack.kafka import KAFKA_VERSION, JarMismatchError, prepare
from ragwheel.stack.kafka.lock import JarPin
from ragwheel.stack.processes import free_port

pytestmark = pytest.mark.integration


def content(name: str) -> bytes:
    return f"jar {name}".encode() * 100


def pin(name: str) -> JarPin:
    return JarPin(f"org.example:{name}:1.0", hashlib.sha256(content(name)).hexdigest())


PINS = [pin("one"), pin("two"), pin("three")]


class Repository:
    """Serves the jars in Maven's layout and counts requests for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jar_requests: list[str] = []
        for name in ("one", "two", "three"):
            self.put(name, content(name))
        requests = self.jar_requests

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                if self.path.endswith(".jar"):
                    requests.append(self.path)
                super().do_GET()

            def log_message(self, *_arguments: object) -> None:
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / f"org/example/{name}/1.0/{name}-1.0.jar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        path.with_name(f"{path.name}.sha1").write_text(digest)


def use_repository(monkeypatch: pytest.MonkeyPatch, folder: Path, port: int) -> None:
    """A mirror, configured as a user behind a company proxy would."""
    config = folder / "jgo.conf"
    config.write_text(f"[repositories]\ncentral = http://127.0.0.1:{port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(config))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository(tmp_path / "repository")
    use_repository(monkeypatch, tmp_path, repository.server.server_address[1])
    thread = threading.Thread(target=repository.server.serve_forever, args=(0.05,))
    thread.start()
    yield repository
    repository.server.shutdown()
    thread.join()
    repository.server.server_close()


def test_jars_are_fetched_once_with_progress(repository: Repository, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    paths = prepare(lambda *step: seen.append(step), cache_dir=tmp_path / "cache", pins=PINS)
    assert [path.read_bytes() for path in paths] == [content(n) for n in ("one", "two", "three")]
    assert [(done, total) for done, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {name for _, _, name in seen} == {pin.file_name for pin in PINS}

    prepare(cache_dir=tmp_path / "cache", pins=PINS)
    assert len(repository.jar_requests) == 3
    left = {path.name for path in (tmp_path / "cache" / "kafka" / KAFKA_VERSION).iterdir()}
    assert left == {"lock", *(pin.file_name for pin in PINS)}


def test_a_jar_that_is_not_the_locked_one_never_reaches_the_cache(
    repository: Repository, tmp_path: Path
) -> None:
    repository.put("two", b"something else, well signed")
    with pytest.raises(JarMismatchError, match=r"two-1\.0\.jar is not the jar that kafka\.lock"):
        prepare(cache_dir=tmp_path / "cache", pins=PINS)
    assert not list((tmp_path / "cache").rglob("two-*.jar"))

    repository.put("two", content("two"))
    assert len(prepare(cache_dir=tmp_path / "cache", pins=PINS)) == 3


def test_callers_at_the_same_time_fetch_once(repository: Repository, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(prepare, cache_dir=tmp_path / "cache", pins=PINS) for _ in range(4)]
        assert len({tuple(call.result(timeout=60)) for call in calls}) == 1
    assert len(repository.jar_requests) == 3


def test_without_a_network_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_repository(monkeypatch, tmp_path, free_port())
    with pytest.raises(DependencyError) as offline:
        prepare(cache_dir=tmp_path / "cache", pins=PINS)
    message = str(offline.value)
    assert "org.example:" in message
    assert "Check the network" in message
    assert "run the same command again" in message
