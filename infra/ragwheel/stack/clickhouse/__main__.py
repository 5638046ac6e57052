"""`python -m ragwheel.stack.clickhouse`: the embedded ClickHouse as a process.

Exit status: 0 after SIGTERM or SIGINT, 78 if the data directory or the port is in use.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from contextlib import closing
from pathlib import Path

from ragwheel.backends.process import on_stop
from ragwheel.schemas.errors import RagwheelError
from ragwheel.stack.processes.exclusive import Exclusive, HeldError
from ragwheel.stack.serving import add_port_options, listening

_log = logging.getLogger("ragwheel.stack.clickhouse")

# A killed supervisor's front needs a moment to end; its successor waits for it.
_LOCK_TIMEOUT_S = 6.0
_HELD_FIX = (
    ": only one process can own embedded data. Connect to that one over HTTP, stop it, or choose "
    "another --data-dir"
)


def main(argv: list[str] | None = None) -> int:
    """Serves until told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ragwheel.stack.clickhouse",
        description="ClickHouse's HTTP interface on 127.0.0.1, served by the embedded engine.",
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="where tables are kept")
    add_port_options(parser)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Servers run in UTC; a DateTime without a zone must mean the same here.
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        with Exclusive(arguments.data_dir / "ragwheel.lock", patience_s=_LOCK_TIMEOUT_S):
            asyncio.run(_serve(arguments))
    except RagwheelError as error:
        fix = _HELD_FIX if isinstance(error, HeldError) else ""
        sys.stderr.write(f"clickhouse: {error}{fix}\n")
        return error.exit_code
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    from ragwheel.stack.clickhouse.engine import Engine
    from ragwheel.stack.clickhouse.entrance import keep_password
    from ragwheel.stack.clickhouse.front import Front

    end = asyncio.Event()
    on_stop(end.set)
    with (
        closing(Engine(arguments.data_dir / "engine")) as engine,
        closing(Front(engine, keep_password(arguments.data_dir))) as front,
    ):
        async with listening(front.runner(), arguments.port, arguments.port_file) as port:
            _log.info("ClickHouse %s answers on http://127.0.0.1:%d", engine.version(), port)
            await end.wait()
            _log.info("stopping")
    _log.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
