"""`ragwheel rubric`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ragwheel.cli.command import JsonFlag, command, option


@command(
    "ragwheel rubric",
    "ragwheel rubric show tool-does-request",
    "ragwheel rubric init support-answers --from chunk-answers-query",
    "ragwheel rubric check rubrics/support-answers.toml",
    "ragwheel rubric diff chunk-answers-query rubrics/support-answers.toml",
    exits={65: "check: a grader would refuse the files"},
)
def run(
    action: Annotated[
        Literal["list", "show", "check", "diff", "init"],
        typer.Argument(
            help="list segments with their rubrics; print the prompt that one makes; find all "
            "mistakes of a file, or of the folder; print the words in which two differ; write a "
            "file to edit"
        ),
    ] = "list",
    which: Annotated[
        str | None, typer.Argument(help="name of a rubric, or a file *.toml; of init, a new name")
    ] = None,
    other: Annotated[str | None, typer.Argument(help="of diff: what it is compared with")] = None,
    copied: Annotated[
        str, option("NAME", "of init: the shipped rubric that it begins as", "--from")
    ] = "chunk-answers-query",
    as_json: JsonFlag = False,
) -> int:
    """A rubric says what the grades 0-3 mean for a kind of search. RAGWHEEL_RUBRIC_DIR names the
    folder of your own; `segments.toml` in it gives segments to rubrics by name, shipped ones among
    them. The version hashes the content: any changed word opens a new grader epoch.
    """
    from pathlib import Path

    from ragwheel.cli.output import report
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.errors import ConfigError, InvalidEventError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import RubricSettings

    require_extra("streams")
    from ragwheel.cli.views import rubrics as views
    from ragwheel.operations import rubrics

    folder = load(RubricSettings).rubric_dir
    if action == "list":
        report(rubrics.list_rubrics(folder), views.rubric_table, as_json=as_json)
        return 0
    if action == "check":
        checked = rubrics.check_rubrics(which, folder)
        report(checked, views.rubric_findings, as_json=as_json)
        return 0 if checked.is_good() else InvalidEventError.exit_code
    if which is None:
        raise ConfigError(f"ragwheel rubric {action}: name a rubric; `ragwheel rubric` lists them")
    if action == "show":
        shown = rubrics.show_rubric(which, folder)
        report(shown, shown.prompt.rstrip(), as_json=as_json)
    elif action == "diff":
        if other is None:
            raise ConfigError("ragwheel rubric diff: name two rubrics or files")
        compared = rubrics.diff_rubrics(which, other, folder)
        report(compared, views.rubric_changes, as_json=as_json)
    else:
        begun = rubrics.begin_rubric(which, copied, folder or Path())
        text = f"{begun.file} is written: edit it, then `ragwheel rubric check {begun.file}`"
        report(begun, text, as_json=as_json)
    return 0
