"""`ragwheel models`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ragwheel.cli.command import Connection, JsonFlag, command, option


@command(
    "ragwheel models",
    'ragwheel models rollback --reason "slow on long queries"',
    exits={1: "nothing was ever promoted, so there is nothing to roll back"},
)
def run(
    action: Annotated[
        Literal["list", "rollback"],
        typer.Argument(help="list all models, or let the one before the current serve again"),
    ] = "list",
    reason: Annotated[
        str, option("TEXT", "why, for the record of a rollback")
    ] = "rolled back by hand",
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """* marks the model that serves. Nothing is promoted by hand: promotion is the gate's proof."""
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import TrainerSettings

    require_extra("trainers")
    connect_to(home)
    settings = load(TrainerSettings)
    if action == "rollback":
        from ragwheel.trainers.trainer import Trainer

        with Trainer(settings) as trainer:
            done = trainer.roll_back(reason)
        text = f"{done.rolled_back} no longer serves; {done.serving} does"
        report(done, text, as_json=as_json)
        return 0

    from ragwheel.cli.views.models import Models, tables
    from ragwheel.models.registry import ModelRegistry
    from ragwheel.operations.models import registry_lines

    lines = registry_lines(ModelRegistry(settings.model_dir))
    serving = next((line.model_id for line in lines if line.serving), None)
    found = Models(str(settings.model_dir), settings.base_model, serving, lines)
    report(found, tables, as_json=as_json)
    return 0
