"""`ragwheel train`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ragwheel.cli.command import Connection, JsonFlag, command, flag, option

_NOT_DUE = 75  # EX_TEMPFAIL of sysexits.h


@command(
    "ragwheel train",
    "ragwheel train status",
    "RAGWHEEL_TRAIN_EPOCHS=1 ragwheel train --force",
    "ragwheel train --snapshot 3f2a",
    exits={
        0: "a cycle was finished, whatever its verdict",
        1: "there is nothing to train on or to prove with",
        _NOT_DUE: "too little is new, or another trainer is in a cycle; nothing was done",
    },
)
def run(
    action: Annotated[
        Literal["cycle", "status"],
        typer.Argument(help="run a cycle, or show what the labels can prove today"),
    ] = "cycle",
    force: Annotated[
        bool, flag("--force", "train even when too little is new since last time")
    ] = False,
    snapshot: Annotated[
        str, option("ID", "make the model of this snapshot again, and decide nothing about it")
    ] = "",
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Snapshot, training, evaluation on held-out queries, judging, gate: what the trainer does by
    itself at RAGWHEEL_TRAIN_MIN_QUERIES answered queries and at each doubling. Needs a running
    grader, which judges. A refused model is a result, not an error. A snapshot is enough to make
    its model again, equal in every bit on the same machine: nothing has to run.
    """
    from ragwheel.backends.kafka import require_broker
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report, tell
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import TrainerSettings

    require_extra("trainers")
    from ragwheel.cli.views.verdict import Training, stages, tables
    from ragwheel.trainers.trainer import Trainer

    connect_to(home)
    settings = load(TrainerSettings)
    if snapshot:
        from ragwheel.trainers.remake import remade

        with stages() as progress:
            model_id, told = remade(settings, snapshot, progress)
        report(Training(0, 0, model_id, reason=told), f"{model_id}: {told}", as_json=as_json)
        return 0
    if action == "status":
        from ragwheel.cli.views.standing import standing
        from ragwheel.operations.outlook import outlook_of

        with Trainer(settings) as trainer:
            report(outlook_of(trainer.scheduler), standing, as_json=as_json)
        return 0
    require_broker(settings)

    with stages() as progress, Trainer(settings, progress=progress, tell=tell) as trainer:
        due = trainer.scheduler.progress()
        tell(f"{due.available:,} of {due.threshold:,} new answered queries; {due.reason}")
        done = Training(due.available, due.threshold)
        if due.due or force:
            done = done.of(trainer.scheduler.train())
    if done.model_id is None:
        tell("not enough for a training; --force trains all the same")
    if as_json or done.model_id is not None:
        report(done, tables, as_json=as_json)
    return 0 if done.model_id is not None else _NOT_DUE
