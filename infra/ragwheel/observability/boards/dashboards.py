"""All dashboards, and the files they become."""

from __future__ import annotations

from pathlib import Path

import orjson

from ragwheel.observability.boards import labels, pipeline, quality
from ragwheel.observability.boards.model import Dashboard
from ragwheel.observability.boards.render import dashboard_json

DASHBOARDS: tuple[Dashboard, ...] = (pipeline.BOARD, labels.BOARD, quality.BOARD)

#: Beside the configuration of the other services; a wheel does not carry it.
DASHBOARDS_DIR = Path(__file__).parents[1] / "dashboards"


def files() -> dict[str, bytes]:
    """File name → content of every dashboard."""
    return {
        f"{board.uid}.json": orjson.dumps(
            dashboard_json(board, others=DASHBOARDS), option=orjson.OPT_INDENT_2
        )
        + b"\n"
        for board in DASHBOARDS
    }
