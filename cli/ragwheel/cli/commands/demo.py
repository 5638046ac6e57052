"""`ragwheel demo`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_home


def configure(parser: argparse.ArgumentParser) -> None:
    add_home(parser, "folder under which each run makes its own")
    parser.add_argument(
        "--scale",
        choices=("full", "small"),
        default="full",
        help="full is what the documentation shows; small proves the loop in two minutes "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--error-rate",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="share of the demo grader's grades that are wrong on purpose (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=7, help="of traffic and errors (default: %(default)s)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep Kafka's and ClickHouse's data and the models"
    )


def run(args: argparse.Namespace) -> int:
    from ragwheel.operations.extras import require_extra
    from ragwheel.operations.running import choose_home

    require_extra("streams", "trainers", "local")
    from ragwheel.demo.options import DemoOptions
    from ragwheel.demo.run import run as run_demo

    return run_demo(
        DemoOptions(
            scale=args.scale,
            home=choose_home(args.home),
            keep=args.keep,
            seed=args.seed,
            grader_error_rate=args.error_rate,
        )
    )


COMMAND = Command(
    name="demo",
    purpose="run the whole loop once on real traffic and write a report",
    details="""\
Indexes the Python standard library, replays search traffic through a real Kafka broker, grades a
sample, trains, judges and promotes a better model, and shows what changed. A stand-in that knows
the right answers grades; RAGWHEEL_LLM_BASE_URL and RAGWHEEL_LLM_API_KEY put a real LLM in its
place.""",
    examples=("ragwheel demo", "ragwheel demo --scale small --keep"),
    configure=configure,
    run=run,
    exits=((1, "a step failed; the message says which and what to do"),),
)
