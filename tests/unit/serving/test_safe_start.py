"""A server that opens more than was meant does not start, and says what to set."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ServingSettings
from ragwheel.serving.process import port_of, require_safe, run


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "server.internal"])  # noqa: S104
@pytest.mark.parametrize("keys", ["", " , "])
def test_others_reach_no_server_without_keys(host: str, keys: str) -> None:
    with pytest.raises(ConfigError, match=r"RAGWHEEL_SERVING_HOST: .*set RAGWHEEL_SERVING_KEYS"):
        require_safe(load(ServingSettings, serving_host=host, serving_keys=keys))
    require_safe(load(ServingSettings, serving_host=host, serving_keys="k"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_needs_no_keys(host: str) -> None:
    require_safe(load(ServingSettings, serving_host=host))


def test_half_of_tls_is_refused(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.touch()
    with pytest.raises(ConfigError, match="set both"):
        require_safe(load(ServingSettings, serving_tls_cert=str(cert)))
    with pytest.raises(ConfigError, match=r"RAGWHEEL_SERVING_TLS_KEY: 'nowhere' is no file"):
        require_safe(load(ServingSettings, serving_tls_cert=str(cert), serving_tls_key="nowhere"))


def test_a_taken_port_is_said_before_a_model_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = load(ServingSettings, serving_port=port, base_model="./no/such/model")
        with pytest.raises(ConfigError, match=rf"RAGWHEEL_SERVING_PORT: cannot listen.*{port}"):
            run(settings, Telemetry())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_answer_is_sent_at_once_in_all_its_parts(host: str) -> None:
    no_delay = asyncio.get_running_loop().create_future()

    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = writer.get_extra_info("socket")
        no_delay.set_result(there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    port = port_of(load(ServingSettings, serving_host=host, serving_port=0))
    async with await asyncio.start_server(answer, sock=port):
        _, caller = await asyncio.open_connection(*port.getsockname()[:2])
        assert await no_delay
        caller.close()
        await caller.wait_closed()


def test_a_server_whose_base_model_cannot_be_loaded_ends_and_names_the_setting(
    tmp_path: Path,
) -> None:
    settings = load(
        ServingSettings, serving_port=0, base_model="./no/such/model", serving_dir=tmp_path,
        model_dir=tmp_path,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"^RAGWHEEL_BASE_MODEL: './no/such/model'"):
        run(settings, Telemetry())


def test_keys_do_not_show() -> None:
    assert "s3cret" not in repr(load(ServingSettings, serving_keys="s3cret"))
