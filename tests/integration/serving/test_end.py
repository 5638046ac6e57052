"""The process that users start, behind TLS: it ends when it has answered what it took."""

from __future__ import annotations

import re
import signal
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
from tests.rigs import children
from tests.rigs.certificates import Authority
from tests.rigs.listening import LONG_S, until

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.models.packaged import packaged_model
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings, ServingSettings

pytestmark = pytest.mark.integration
CALLERS, TEXTS = 8, 12
#: As long as the model reads: a batch is of few of them.
BODIES = [
    {"inputs": [f"caller {caller} text {text} " + "wheel " * 120 for text in range(TEXTS)]}
    for caller in range(CALLERS)
]


@dataclass(frozen=True)
class Running:
    """The process, where it listens, and who vouches for it."""

    process: Popen[bytes]
    port: int
    authority: Authority

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=self.authority.root.certificate)
        headers = {"authorization": "Bearer key-1"}
        return httpx.Client(verify=trusted, timeout=LONG_S, headers=headers, base_url=self.url)


@pytest.fixture
def running(clickhouse_settings: ClickHouseSettings, tmp_path: Path) -> Iterator[Running]:
    with closing(connect(clickhouse_settings, create_database=True)) as client:
        migrate(client)
    authority = Authority(tmp_path)
    pair = authority.issue("server", address="127.0.0.1")
    settings = load(
        ServingSettings,
        serving_port=0, serving_keys="key-1", serving_dir=tmp_path, model_dir=tmp_path / "models",
        base_model=str(packaged_model()), metrics_port=0, serving_stop_s=LONG_S,
        serving_tls_cert=str(pair.certificate), serving_tls_key=str(pair.key),
        clickhouse_url=clickhouse_settings.clickhouse_url,
    )  # fmt: skip
    log = tmp_path / "server.log"
    process = children.spawn(
        children.module("ragwheel.serving"), log, children.environment(settings)
    )
    listens = re.compile(r"listening at https://127\.0\.0\.1:(\d+)")
    try:
        until(lambda: listens.search(log.read_text()) or process.poll() is not None)
        found = listens.search(log.read_text())
        assert found is not None, log.read_text()
        yield Running(process, int(found[1]), authority)
    finally:
        children.end(process)


def test_at_sigterm_all_that_was_taken_is_answered_over_tls(running: Running) -> None:
    with running.client() as client, ThreadPoolExecutor(CALLERS) as pool:
        until(lambda: _answers(client))
        with pytest.raises(httpx.HTTPError):  # no answer in the clear
            httpx.get(f"http://127.0.0.1:{running.port}/livez", timeout=LONG_S)
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{running.url}/livez", timeout=LONG_S)
        asked = [pool.submit(_embed, running, body) for body in BODIES]
        until(lambda: _taken(client) >= CALLERS * TEXTS)
        running.process.send_signal(signal.SIGTERM)
        answers = [each.result() for each in asked]
    assert [each.status_code for each in answers] == [200] * CALLERS
    assert [len(each.json()) for each in answers] == [TEXTS] * CALLERS
    assert running.process.wait(LONG_S) == 0


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.ConnectError:  # the port is taken some moments before it is listened at
        return False


def _embed(running: Running, body: dict[str, list[str]]) -> httpx.Response:
    with running.client() as client:
        return client.post("/embed", json=body)


def _taken(client: httpx.Client) -> float:
    """Texts that were let in: each is looked up once."""
    lookups = re.findall(
        r'^ragwheel_serving_cache_lookups_total\{outcome="miss"\} (\S+)$',
        client.get("/metrics").text,
        re.MULTILINE,
    )
    return sum(map(float, lookups))
