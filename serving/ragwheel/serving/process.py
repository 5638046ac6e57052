"""The server process: checks, the model, signals, and the listener."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import uvicorn

from ragwheel.backends import process
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.settings import ServingSettings
from ragwheel.serving.app import create_app
from ragwheel.serving.follow import ModelFollower

_LOG = logging.getLogger(__name__)


def main() -> int:
    """Answer with the promoted model until SIGTERM or Ctrl-C; returns the exit status."""
    return process.main("server", ServingSettings, run)


def run(settings: ServingSettings, telemetry: Telemetry) -> None:
    """Load what serves, listen, and answer until a signal says stop; then finish what waits.

    Raises:
        ConfigError: others could reach a server without keys, half of TLS is set, the port is
            taken, or the base model cannot be loaded.
    """
    require_safe(settings)
    listener = port_of(settings)
    _keep_imports()
    with listener, follow(settings, telemetry) as follower:
        telemetry.serve(settings)
        asyncio.run(_serve(settings, follower, telemetry, listener))
    _LOG.info("server ended")


def _keep_imports() -> None:
    """Import what models need, and keep it out of the way of the garbage collector.

    A full collection looks at every object there is: half a million after these imports, for .4 s
    in which nothing is answered. What models leave behind is collected in milliseconds.
    """
    with suppress(ImportError):  # `load_encoder` says what to install
        import sentence_transformers  # noqa: F401
    gc.collect()
    gc.freeze()


@contextmanager
def follow(settings: ServingSettings, telemetry: Telemetry) -> Iterator[ModelFollower]:
    """What is promoted, for as long as the server runs.

    Where a store, Kafka or ClickHouse is away the server starts all the same: `/readyz` says what
    is missing until it is there.

    Raises:
        ConfigError: no model can be loaded here, and waiting does not help.
    """
    with ModelFollower(settings, telemetry) as follower:
        state = follower.state()
        if not state.ready and state.last_refusal.startswith("load: "):
            raise ConfigError(state.last_refusal.removeprefix("load: "))
        yield follower


def require_safe(settings: ServingSettings) -> None:
    """Refuse settings that open more than was meant.

    Raises:
        ConfigError: names the setting and the fix.
    """
    host = settings.serving_host
    if not _is_loopback(host) and not settings.serving_keys.get_secret_value().strip(", "):
        raise ConfigError(
            f"RAGWHEEL_SERVING_HOST: others can reach {host}, and everybody may ask without keys: "
            "set RAGWHEEL_SERVING_KEYS, or listen on 127.0.0.1"
        )
    certificate, key = settings.serving_tls_cert, settings.serving_tls_key
    if bool(certificate) != bool(key):
        raise ConfigError(
            "RAGWHEEL_SERVING_TLS_CERT and RAGWHEEL_SERVING_TLS_KEY: set both for https, or none"
        )
    for name, path in (("CERT", certificate), ("KEY", key)):
        if path and not Path(path).is_file():
            raise ConfigError(f"RAGWHEEL_SERVING_TLS_{name}: {path!r} is no file")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def port_of(settings: ServingSettings) -> socket.socket:
    """The port, taken before a model is loaded; it is not listened at before it can be answered."""
    host, port = settings.serving_host, settings.serving_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sends at once (TCP_NODELAY) only where it is; else an answer's body
    # waits 40 ms for the caller to acknowledge its head.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        raise ConfigError(
            f"RAGWHEEL_SERVING_PORT: cannot listen on {host}:{port} ({error.strerror}); choose "
            "another, or 0 for a free one"
        ) from None
    return taken


class _Server(uvicorn.Server):
    """Ends when `process.on_stop` says so: uvicorn would end the process by the signal itself."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    settings: ServingSettings,
    follower: ModelFollower,
    telemetry: Telemetry,
    listener: socket.socket,
) -> None:
    app = create_app(settings, follower, telemetry)
    follower.take_turns(app.state.encode_thread.in_turn)
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=settings.serving_tls_cert or None,
        ssl_keyfile=settings.serving_tls_key or None,
        timeout_graceful_shutdown=max(1, round(settings.serving_stop_s)),
    )
    server = _Server(config)
    process.on_stop(lambda: setattr(server, "should_exit", True))
    scheme = "https" if settings.serving_tls_cert else "http"
    host, port = listener.getsockname()[:2]
    _LOG.info("listening at %s://%s:%d", scheme, host, port)
    await server.serve(sockets=[listener])
