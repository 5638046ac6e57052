"""`ragwheel demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ragwheel.cli.command import command, flag, home_option, option


@command(
    "ragwheel demo",
    "ragwheel demo --scale small --keep",
    exits={1: "a step failed; the message says which and what to do"},
)
def run(
    home: Annotated[Path | None, home_option("folder under which each run makes its own")] = None,
    scale: Annotated[
        Literal["full", "small"],
        typer.Option(
            help="full is what the documentation shows; small proves the loop in two minutes"
        ),
    ] = "full",
    error_rate: Annotated[
        float, option("SHARE", "share of the demo grader's grades that are wrong on purpose")
    ] = 0.05,
    seed: Annotated[int, option("N", "of traffic and errors")] = 7,
    keep: Annotated[
        bool, flag("--keep", "keep Kafka's and ClickHouse's data and the models")
    ] = False,
) -> int:
    """Indexes the Python standard library, replays search traffic through a real Kafka broker,
    grades a sample, trains, judges and promotes a better model, has a query answered by it over
    HTTP, and shows what changed. A stand-in that knows the right answers grades;
    RAGWHEEL_LLM_BASE_URL and RAGWHEEL_LLM_API_KEY put a real LLM in its place.
    """
    from ragwheel.operations.extras import require_extra
    from ragwheel.operations.running import choose_home

    require_extra("streams", "trainers", "serving", "local")
    from ragwheel.demo.options import DemoOptions
    from ragwheel.demo.run import run as run_demo

    return run_demo(
        DemoOptions(
            scale=scale,
            home=choose_home(home),
            keep=keep,
            seed=seed,
            grader_error_rate=error_rate,
        )
    )
