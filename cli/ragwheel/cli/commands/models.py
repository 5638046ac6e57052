"""`ragwheel models`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ragwheel.cli.command import Connection, DryRun, JsonFlag, command, option


@command(
    "ragwheel models",
    'ragwheel models rollback --reason "slow on long queries"',
    'ragwheel models promote 39d406a672658e55 --reason "a trial in one region"',
    "ragwheel models explain 39d406a672658e55",
    "ragwheel models diff 39d406a672658e55 8f14e45fceea167a",
    "ragwheel models allow 39d406a672658e55",
    "ragwheel models prune --dry-run",
    "ragwheel models export 39d406a672658e55 ./model --to folder",
    exits={1: "nothing was ever promoted, so there is nothing to roll back; or no such model"},
)
def run(
    action: Annotated[
        Literal["list", "promote", "rollback", "allow", "prune", "explain", "diff", "export"],
        typer.Argument(
            help="list all models, and what is observed to serve; let one serve by hand; let the "
            "one before the current serve again; lift a rollback, so that a gate may promote the "
            "model again; remove old models and vectors; say all about one; compare two; write one "
            "for others to load"
        ),
    ] = "list",
    model: Annotated[str | None, typer.Argument(help="which model")] = None,
    other: Annotated[
        str | None,
        typer.Argument(
            help="the model that it is compared with; of an export, a new or empty folder, or "
            "OWNER/NAME of a hub"
        ),
    ] = None,
    to: Annotated[
        Literal["folder", "onnx", "hub", "mlflow"], option("FORM", "of an export")
    ] = "folder",
    side: Annotated[
        Literal["query", "document"], option("SIDE", "whose texts what is exported encodes")
    ] = "query",
    precision: Annotated[
        Literal["fp32", "int8"], option("PRECISION", "of onnx: int8 is measured, or refused")
    ] = "fp32",
    reason: Annotated[
        str | None, option("TEXT", "why, for the record; a promotion needs one")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="promote although its gate refused it")
    ] = False,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """* marks the promoted model, and what was observed last in each service. A gate promotes by
    proof; by hand only what it did not refuse, with a reason. What was rolled back stays so until
    it is allowed again. What serves, served, or is still
    measured is never pruned; RAGWHEEL_KEEP_MODELS and RAGWHEEL_KEEP_VECTORS_DAYS say what else.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.errors import ConfigError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import TrainerSettings

    require_extra("trainers")
    connect_to(home)
    settings = load(TrainerSettings)
    if action in ("promote", "rollback"):
        from ragwheel.trainers.trainer import Trainer

        if action == "promote" and not (model and reason):
            raise ConfigError("ragwheel models promote: name the model and give --reason TEXT")
        with Trainer(settings) as trainer:
            if action == "promote":
                made = trainer.promote(model or "", reason or "", force=force)
                report(made, f"{made.promoted} is promoted; {made.replaced} was", as_json=as_json)
            else:
                done = trainer.roll_back(reason or "rolled back by hand")
                text = f"{done.rolled_back} no longer serves; {done.serving} does"
                report(done, text, as_json=as_json)
        return 0

    from ragwheel.cli.views import models as views
    from ragwheel.models.registry import ModelRegistry
    from ragwheel.operations.explaining import diff, explain
    from ragwheel.operations.models import (
        AllowedModel,
        observed_lines,
        prune_models,
        registry_lines,
    )

    registry = ModelRegistry(settings.model_dir)
    if action == "export":
        from ragwheel.cli.output import tell
        from ragwheel.cli.views.model_exports import exported_model
        from ragwheel.operations.model_exports import export_model

        if not model or not other:
            raise ConfigError("name model and destination: `ragwheel models export ID DEST`")
        exported = export_model(
            settings, model, to, other, side=side, precision=precision, progress=tell
        )
        report(exported, exported_model, as_json=as_json)
    elif action == "allow":
        registry.allow(model or "")
        report(AllowedModel(model or ""), f"{model} may be promoted again", as_json=as_json)
    elif action == "explain":
        report(explain(registry, model or ""), views.explanation, as_json=as_json)
    elif action == "diff":
        report(diff(registry, model or "", other or ""), views.difference, as_json=as_json)
    elif action == "prune":
        report(prune_models(settings, dry_run=dry_run), views.pruned, as_json=as_json)
    else:
        lines = registry_lines(registry)
        serving = next((line.model_id for line in lines if line.serving), None)
        served, unknown = observed_lines(settings)
        found = views.Models(
            str(settings.model_dir), settings.base_model, serving, lines, served, unknown
        )
        report(found, views.tables, as_json=as_json)
    return 0
