"""`python -m ragwheel.stack.llm --gold gold.json --error-rate 0.05 --port 0 --port-file F`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ragwheel.schemas.errors import RagwheelError
from ragwheel.stack.llm.brains import Brain, GoldGrader, OverlapGrader, load_gold
from ragwheel.stack.llm.chat import LlmServer
from ragwheel.stack.serving import add_port_options, asked_to_end, listening

_LOG = logging.getLogger(__name__)
DEMO_MODELS = ("ragwheel-demo-grader", "ragwheel-demo-judge")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ragwheel.stack.llm",
        description="OpenAI-compatible test server. It stands in for an LLM; it is none.",
    )
    parser.add_argument("--gold", type=Path, help="file of right answers; without it: word overlap")
    parser.add_argument("--error-rate", type=float, default=0.05, help="share of wrong grades")
    parser.add_argument("--model", action="append", help=f"model names; default {DEMO_MODELS}")
    add_port_options(parser)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    try:
        brain: Brain = OverlapGrader()
        if args.gold is not None:
            brain = GoldGrader(load_gold(args.gold), args.error_rate)
        asyncio.run(_serve(brain, tuple(args.model or DEMO_MODELS), args.port, args.port_file))
    except RagwheelError as error:
        _LOG.error("%s", error)
        return error.exit_code
    return 0


async def _serve(brain: Brain, models: tuple[str, ...], port: int, port_file: Path | None) -> None:
    end = asked_to_end()
    server = LlmServer(brain, models)
    async with listening(server.runner(), port, port_file) as server.port:
        _LOG.info("test LLM at %s, models %s", server.base_url, ", ".join(models))
        await end.wait()


if __name__ == "__main__":
    sys.exit(main())
