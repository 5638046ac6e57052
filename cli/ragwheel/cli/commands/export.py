"""`ragwheel export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from ragwheel.cli.command import Connection, JsonFlag, command, flag, option

Format = Literal["sentence-transformers", "jsonl", "beir", "trec"]


@command(
    "ragwheel export --list",
    "ragwheel export --snapshot 3f2a --to data --format sentence-transformers",
    exits={1: "there is no such snapshot, it is damaged, or the folder is not empty"},
)
def run(
    snapshot: Annotated[str, option("ID", "which one; a beginning that no other has will do")] = "",
    to: Annotated[Path | None, option("DIR", "a new or empty folder")] = None,
    format_: Annotated[
        Format, option("FORMAT", "sentence-transformers, jsonl, beir or trec", "--format")
    ] = "sentence-transformers",
    list_: Annotated[bool, flag("--list", "show the snapshots that there are")] = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """sentence-transformers: triplets and graded lists in Parquet. jsonl: query, relevant_passages
    and hard_negatives. beir and trec: a test collection. Each with pairs.parquet: grades, weights
    and beliefs of all pairs. Held-out queries are only in the last two, as `test`.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.errors import ConfigError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import TrainerSettings

    require_extra("trainers")
    from ragwheel.cli.views.snapshots import Snapshots, exported, tables
    from ragwheel.operations.exports.formats import export
    from ragwheel.trainers.data import folder

    connect_to(home)
    root = load(TrainerSettings).model_dir / folder.SNAPSHOTS
    if list_:
        report(Snapshots(str(root), folder.stored(root)), tables, as_json=as_json)
        return 0
    if not snapshot or to is None:
        raise ConfigError("name a snapshot and a folder: --snapshot ID --to DIR, or --list")
    report(export(folder.find(root, snapshot), format_, to), exported, as_json=as_json)
    return 0
