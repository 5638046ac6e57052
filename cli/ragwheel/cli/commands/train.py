"""`ragwheel train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragwheel.cli.command import Command, Connection, Json

if TYPE_CHECKING:
    from ragwheel.cli.reports import Training
    from ragwheel.trainers.cycle import CycleResult
    from ragwheel.trainers.scheduler import TrainingProgress

_NOT_DUE = 75  # EX_TEMPFAIL of sysexits.h


def run(
    force: Annotated[
        bool, typer.Option("--force", help="train even when too little is new since last time")
    ] = False,
    as_json: Json = False,
    home: Connection = None,
) -> int:
    from ragwheel.backends.kafka import require_broker
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import show, show_json, tell
    from ragwheel.cli.reports import Training
    from ragwheel.cli.views.verdict import stages, tables
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.settings import TrainerSettings, load

    require_extra("trainers")
    connect_to(home)
    settings = load(TrainerSettings)
    require_broker(settings)
    from ragwheel.trainers.trainer import Trainer

    with stages() as progress, Trainer(settings, progress=progress) as trainer:
        due = trainer.scheduler.progress()
        tell(f"{due.available:,} of {due.threshold:,} new answered queries")
        if not due.due and not force:
            tell("not enough for a training; --force trains all the same")
            if as_json:
                show_json(Training(due.available, due.threshold))
            return _NOT_DUE
        report = _report(due, trainer.scheduler.train())
    if as_json:
        show_json(report)
    else:
        show(tables(report))
    return 0


def _report(due: TrainingProgress, result: CycleResult) -> Training:
    from ragwheel.cli.reports import MetricLine, Training

    return Training(
        due.available,
        due.threshold,
        result.model.model_id,
        result.verdict.action,
        result.verdict.reason,
        [
            MetricLine(
                each.metric, each.k, each.system,
                each.interval.value, each.interval.low, each.interval.high,
            )
            for each in result.figures
            if each.segment == "*"
        ],
        result.stage_seconds,
    )  # fmt: skip


COMMAND = Command(
    run=run,
    details="""\
Snapshot, training, evaluation on held-out queries, judging, gate: what the trainer does by itself
when enough is new. Needs a running grader, which judges. The threshold is
RAGWHEEL_TRAIN_MIN_QUERIES. A refused model is a result, not an error.""",
    examples=("ragwheel train", "RAGWHEEL_TRAIN_EPOCHS=1 ragwheel train --force"),
    exits=(
        (0, "a cycle was finished, whatever its verdict"),
        (1, "there is nothing to train on or to prove with"),
        (_NOT_DUE, "too little is new; nothing was done"),
    ),
)
