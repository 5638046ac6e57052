"""`ragwheel models`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_connection


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=("list", "rollback"),
        default="list",
        help="list all models (the default), or let the one before the current serve again",
    )
    parser.add_argument(
        "--reason",
        default="rolled back by hand",
        metavar="TEXT",
        help='why, for the record of a rollback (default: "%(default)s")',
    )
    parser.add_argument("--json", action="store_true", help="list as one JSON array")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    from ragwheel.cli.connection import connect_to
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.settings import TrainerSettings, load

    require_extra("trainers")
    connect_to(args.home)
    settings = load(TrainerSettings)
    if args.action == "rollback":
        from ragwheel.trainers.trainer import Trainer

        with Trainer(settings) as trainer:
            done = trainer.roll_back(args.reason)
        print(f"{done.rolled_back} no longer serves; {done.serving} does")
        return 0

    from ragwheel.cli.views.registry import as_json, as_text
    from ragwheel.models.registry import ModelRegistry
    from ragwheel.operations.models import registry_lines

    lines = registry_lines(ModelRegistry(settings.model_dir))
    print(as_json(lines) if args.json else as_text(lines, settings))
    return 0


COMMAND = Command(
    name="models",
    purpose="list trained models with their verdicts, or roll back",
    details="""\
* marks the model that serves. Nothing is promoted by hand: promotion is the gate's proof.""",
    examples=("ragwheel models", 'ragwheel models rollback --reason "slow on long queries"'),
    configure=configure,
    run=run,
    exits=((1, "nothing was ever promoted, so there is nothing to roll back"),),
)
