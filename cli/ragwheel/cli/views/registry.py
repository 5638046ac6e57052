"""`ragwheel models` as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from ragwheel.cli.views.table import table
from ragwheel.operations.models import RegistryLine
from ragwheel.schemas.settings import TrainerSettings


def as_json(lines: Sequence[RegistryLine]) -> str:
    """An array; keys are the names of `RegistryLine`'s fields."""
    return orjson.dumps([asdict(line) for line in lines], option=orjson.OPT_INDENT_2).decode()


def as_text(lines: Sequence[RegistryLine], settings: TrainerSettings) -> str:
    """A table, and what serves."""
    serving = next((line.model_id for line in lines if line.serving), "")
    shown = serving or f"the base model ({settings.base_model})"
    if not lines:
        return f"no model in {settings.model_dir} yet; {shown} serves"
    rows = [
        (
            "*" if line.serving else "",
            line.model_id,
            line.verdict or "no verdict",
            None if line.gain is None else f"{line.gain:+.3f}",
            line.at[:19],
            line.reason,
        )
        for line in lines
    ]
    header = ("", "model", "verdict", "recall@10", "decided (UTC)", "reason")
    return f"{table(header, rows)}\n\nserving: {shown}"
