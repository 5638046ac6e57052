"""`ragwheel leaderboard`."""

from __future__ import annotations

from typing import Annotated

from ragwheel.cli.command import Connection, JsonFlag, command, option


@command(
    "ragwheel leaderboard",
    "ragwheel leaderboard --segment code --json | jq '.figures[].system'",
    exits={1: "no gate was judged yet, or the segment is unknown"},
)
def run(
    segment: Annotated[str | None, option("NAME", "only this segment; * is all of them")] = None,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """What the last gate measured: production as it was logged, our reproduction of the model in
    service, the base model, BM25 and the candidate, with 95 % intervals, by segment. Rows `delta…`
    are paired differences to the incumbent.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import TrainerSettings

    require_extra("trainers")
    from ragwheel.cli.views.leaderboard import tables
    from ragwheel.operations.leaderboard import read_leaderboard

    connect_to(home)
    report(read_leaderboard(load(TrainerSettings), segment), tables, as_json=as_json)
    return 0
