"""`ragwheel up`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_home


def configure(parser: argparse.ArgumentParser) -> None:
    add_home(parser, "folder of data, logs and state; kept between runs")
    parser.add_argument(
        "--without",
        metavar="NAME",
        action="append",
        default=[],
        help="leave out kafka, clickhouse, llm, intake, accounts, grader or trainer; repeat for "
        "several. For a server that is left out, the settings must say where another one is",
    )
    parser.add_argument(
        "--prometheus", action="store_true", help="also start the system's Prometheus"
    )


def run(args: argparse.Namespace) -> int:
    from ragwheel.cli.views.announcement import announce
    from ragwheel.operations.extras import require_extra
    from ragwheel.operations.running import choose_home
    from ragwheel.stack import LocalStack, choose_components

    components = choose_components(without=args.without)
    require_extra("local", "streams", *(["trainers"] if "trainer" in components else []))
    with LocalStack(
        choose_home(args.home),
        components=components,
        prometheus=args.prometheus,
        on_progress=lambda line: print(line, flush=True),
    ) as stack:
        print(announce(stack.state), flush=True)
        stack.wait()
    return 0


COMMAND = Command(
    name="up",
    purpose="run the whole loop on this machine until Ctrl-C",
    details="""\
Starts a real Kafka broker, the embedded ClickHouse engine, a stand-in for the LLM, intake,
accounts, grader and trainer, each on a free port of 127.0.0.1. With RAGWHEEL_LLM_BASE_URL and
RAGWHEEL_LLM_API_KEY set, that endpoint grades instead of the stand-in. Workers that die are started
again. Settings (RAGWHEEL_…) of the environment are passed on to the workers.""",
    examples=(
        "ragwheel up",
        "RAGWHEEL_SAMPLE_RATE=1 ragwheel up --home /tmp/second --without trainer",
    ),
    configure=configure,
    run=run,
    exits=((1, "a process of the stack failed; its last log lines are shown"),),
)
