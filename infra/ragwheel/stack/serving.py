"""What our own servers on loopback have in common: their options and their port."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from ragwheel.backends.files import replace_file
from ragwheel.schemas.errors import ConfigError


def add_port_options(parser: argparse.ArgumentParser) -> None:
    """`--port` and `--port-file`, as a `PythonServer` of `processes.loopback` gives them."""
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument(
        "--port-file", type=Path, help="written with the port number once requests are answered"
    )


@asynccontextmanager
async def listening(
    runner: web.AppRunner, port: int = 0, port_file: Path | None = None
) -> AsyncIterator[int]:
    """Answer on 127.0.0.1 inside the block; gives the port, a free one for 0.

    Raises:
        ConfigError: the port is not to be had.
    """
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on 127.0.0.1:{port} ({error.strerror}): choose another --port, "
                "or 0 for a free one"
            ) from error
        bound = int(runner.addresses[0][1])
        if port_file is not None:
            replace_file(port_file, f"{bound}\n".encode())
        yield bound
    finally:
        await runner.cleanup()
