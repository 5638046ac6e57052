"""Files printed from the commands: `python -m ragwheel.cli.reference` rewrites them.

docs/cli.md is what `--help` says; json/<command>.schema.json is what `--json` prints. A test
compares both with the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from ragwheel.cli.command import HELP_WIDTH, load, parser
from ragwheel.cli.commands import COMMANDS, front_page
from ragwheel.cli.commands.migrate import Migrations
from ragwheel.cli.commands.topics import Topics
from ragwheel.cli.commands.version import Version
from ragwheel.cli.views.announcement import Announcement
from ragwheel.cli.views.findings import Examination
from ragwheel.cli.views.models import Models
from ragwheel.cli.views.snapshots import Snapshots
from ragwheel.cli.views.verdict import Training
from ragwheel.grading.offline.file_grading import GradePlan, GradeReport
from ragwheel.operations.down import Stopped
from ragwheel.operations.emit import EmitReport
from ragwheel.operations.explaining import Explanation, ModelDiff
from ragwheel.operations.exports.formats import Exported
from ragwheel.operations.forget import ForgetReport
from ragwheel.operations.goals import Waited
from ragwheel.operations.leaderboard import Leaderboard
from ragwheel.operations.model_exports import ExportedModel
from ragwheel.operations.models import AllowedModel, PrunedModels
from ragwheel.operations.outlook import TrainOutlook
from ragwheel.operations.overview import Overview
from ragwheel.operations.redeliver import ReplayReport
from ragwheel.operations.reembedding import ReembedPlan, ReembedReport
from ragwheel.operations.rubrics import (
    RubricBegun,
    RubricCheck,
    RubricDiff,
    RubricList,
    RubricPrompt,
)
from ragwheel.operations.write_off import WriteOff
from ragwheel.trainers.trainer import PromotionResult, RollbackResult

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
JSON_DIR = Path(__file__).parent / "json"

#: Command → what its `--json` prints.
REPORTS: dict[str, Any] = {
    "up": Announcement,
    "down": Stopped,
    "status": Overview,
    "emit": EmitReport,
    "wait": Waited,
    "grade": GradePlan | GradeReport,
    "rubric": RubricList | RubricPrompt | RubricCheck | RubricDiff | RubricBegun,
    "train": Training | TrainOutlook,
    "leaderboard": Leaderboard,
    "models": Models
    | PromotionResult
    | RollbackResult
    | AllowedModel
    | PrunedModels
    | Explanation
    | ModelDiff
    | ExportedModel,
    "reembed": ReembedPlan | ReembedReport,
    "export": Snapshots | Exported,
    "replay": ReplayReport,
    "write-off": WriteOff,
    "forget": ForgetReport,
    "doctor": Examination,
    "migrate": Migrations,
    "topics": Topics,
    "version": Version,
}

_HEAD = """\
# The command line

What `ragwheel COMMAND --help` prints. This file is generated: `make docs` rewrites it
(`python -m ragwheel.cli.reference`), and a test compares it with the commands.

Commands that talk to Kafka or ClickHouse find them in this order: the stack in a `--home` that was
typed; `RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS` and `RAGWHEEL_CLICKHOUSE_URL`; the stack that runs in
`$RAGWHEEL_HOME` or `./.ragwheel`; `localhost`. Errors are one line on stderr; `--debug` shows the
traceback.

Results go to standard output, progress and notices to standard error. On a terminal they have
colours, unless `NO_COLOR` is set; in a pipe they are plain and never cut. `--json` prints one
object, whose shape is in `cli/ragwheel/cli/json/<command>.schema.json`. `--install-completion`
completes commands and options in bash, zsh and fish.
"""


def page() -> str:
    """The text of docs/cli.md."""
    parts = [_HEAD, _block(front_page())]
    top = parser().make_context("ragwheel", [], resilient_parsing=True)
    for name in COMMANDS:
        command = load(name)
        context = command.make_context(
            name, [], parent=top, resilient_parsing=True, terminal_width=HELP_WIDTH
        )
        parts += [f"## ragwheel {name}\n", _block(command.get_help(context))]
    return "\n".join(parts)


def json_schema(command: str) -> str:
    """JSON Schema (draft 2020-12) of what a command prints with `--json`."""
    shape = TypeAdapter(REPORTS[command]).json_schema(
        mode="serialization", schema_generator=_EveryFieldIsPrinted
    )
    about = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$comment": f"ragwheel {command} --json",
    }
    return orjson.dumps(about | shape, option=orjson.OPT_INDENT_2).decode() + "\n"


def files() -> dict[Path, str]:
    """Path and text of every printed file."""
    schemas = {JSON_DIR / f"{name}.schema.json": json_schema(name) for name in REPORTS}
    return {PAGE: page(), **schemas}


class _EveryFieldIsPrinted(GenerateJsonSchema):
    """Fields with a default are printed too, so readers may rely on them."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return True


def _block(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.rstrip().splitlines())
    return f"```text\n{lines}\n```\n"


def main() -> None:
    """Rewrite the files."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
