"""`ragwheel train`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_connection

_NOT_DUE = 75  # EX_TEMPFAIL of sysexits.h


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="train even when too little is new since last time"
    )
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    import sys

    from ragwheel.backends.kafka import require_broker
    from ragwheel.cli.connection import connect_to
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.settings import TrainerSettings, load

    require_extra("trainers")
    connect_to(args.home)
    settings = load(TrainerSettings)
    require_broker(settings)
    from ragwheel.cli.views.verdict import StageLines, as_text
    from ragwheel.trainers.trainer import Trainer

    with Trainer(settings, progress=StageLines(lambda line: print(line, flush=True))) as trainer:
        progress = trainer.scheduler.progress()
        print(f"{progress.available:,} of {progress.threshold:,} new answered queries")
        if not progress.due and not args.force:
            print("not enough for a training; --force trains all the same", file=sys.stderr)
            return _NOT_DUE
        result = trainer.scheduler.train()
    print(as_text(result))
    return 0


COMMAND = Command(
    name="train",
    purpose="run one training cycle now and print the verdict",
    details="""\
Snapshot, training, evaluation on held-out queries, judging, gate: what the trainer does by itself
when enough is new. Needs a running grader, which judges. The threshold is
RAGWHEEL_TRAIN_MIN_QUERIES. A refused model is a result, not an error.""",
    examples=("ragwheel train", "RAGWHEEL_TRAIN_EPOCHS=1 ragwheel train --force"),
    configure=configure,
    run=run,
    exits=(
        (0, "a cycle was finished, whatever its verdict"),
        (1, "there is nothing to train on or to prove with"),
        (_NOT_DUE, "too little is new; nothing was done"),
    ),
)
