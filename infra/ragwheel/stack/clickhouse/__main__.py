"""`python -m ragwheel.stack.clickhouse`: the embedded ClickHouse as a process.

Exit status: 0 after SIGTERM or SIGINT, 78 if the data directory or the port is in use.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

from ragwheel.backends.files import replace_file
from ragwheel.schemas.errors import ConfigError, RagwheelError
from ragwheel.stack.processes.exclusive import Exclusive, HeldError

_log = logging.getLogger("ragwheel.stack.clickhouse")

# A killed supervisor's front needs a moment to end; its successor waits for it.
_LOCK_TIMEOUT_S = 6.0


def main(argv: list[str] | None = None) -> int:
    """Serves until told to stop; returns the exit status."""
    arguments = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Servers run in UTC; a DateTime without a zone must mean the same here.
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        with Exclusive(arguments.data_dir / "ragwheel.lock", patience_s=_LOCK_TIMEOUT_S):
            asyncio.run(_serve(arguments))
    except HeldError as error:
        sys.stderr.write(
            f"clickhouse: {error}: only one process can own embedded data. Connect to that one "
            "over HTTP, stop it, or choose another --data-dir\n"
        )
        return error.exit_code
    except RagwheelError as error:
        sys.stderr.write(f"clickhouse: {error}\n")
        return error.exit_code
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ragwheel.stack.clickhouse",
        description="ClickHouse's HTTP interface on 127.0.0.1, served by the embedded engine.",
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="where tables are kept")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument(
        "--port-file", type=Path, help="written with the port number once requests are answered"
    )
    return parser.parse_args(argv)


async def _serve(arguments: argparse.Namespace) -> None:
    from aiohttp import web

    from ragwheel.stack.clickhouse.engine import Engine
    from ragwheel.stack.clickhouse.front import Front

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine = Engine(arguments.data_dir / "engine")
    front = Front(engine)
    runner = front.runner()
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", arguments.port, reuse_address=True)
    try:
        await site.start()
    except OSError as error:
        raise ConfigError(
            f"cannot listen on 127.0.0.1:{arguments.port} ({error.strerror}): choose another "
            "--port, or 0 for a free one"
        ) from error
    port = int(runner.addresses[0][1])
    if arguments.port_file is not None:
        replace_file(arguments.port_file, f"{port}\n".encode())
    _log.info("ClickHouse %s answers on http://127.0.0.1:%d", engine.version(), port)
    await stop.wait()
    _log.info("stopping")
    await runner.cleanup()
    front.close()
    engine.close()
    _log.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
