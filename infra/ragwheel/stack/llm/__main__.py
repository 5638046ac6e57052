"""`python -m ragwheel.stack.llm --gold gold.json --error-rate 0.05 --port 0 --port-file F`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ragwheel.backends.process import on_stop
from ragwheel.schemas.errors import RagwheelError
from ragwheel.stack.composition import DEMO_GRADER_MODEL, DEMO_JUDGE_MODEL
from ragwheel.stack.llm.brains import Brain, GoldGrader, OverlapGrader, load_gold
from ragwheel.stack.llm.chat import LlmServer
from ragwheel.stack.serving import add_port_options, listening

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ragwheel.stack.llm",
        description="OpenAI-compatible test server. It stands in for an LLM; it is none.",
    )
    parser.add_argument("--gold", type=Path, help="file of right answers; without it: word overlap")
    parser.add_argument("--error-rate", type=float, default=0.05, help="share of wrong grades")
    add_port_options(parser)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    try:
        brain: Brain = OverlapGrader()
        if args.gold is not None:
            brain = GoldGrader(load_gold(args.gold), args.error_rate)
        asyncio.run(_serve(brain, args.port, args.port_file))
    except RagwheelError as error:
        _LOG.error("%s", error)
        return error.exit_code
    return 0


async def _serve(brain: Brain, port: int, port_file: Path | None) -> None:
    end = asyncio.Event()
    on_stop(end.set)
    server = LlmServer(brain, (DEMO_GRADER_MODEL, DEMO_JUDGE_MODEL))
    async with listening(server.runner(), port, port_file) as server.port:
        _LOG.info("test LLM at %s", server.base_url)
        await end.wait()


if __name__ == "__main__":
    sys.exit(main())
