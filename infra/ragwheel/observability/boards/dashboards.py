"""All dashboards, and the files they become."""

from __future__ import annotations

from pathlib import Path

import orjson

from ragwheel import observability
from ragwheel.observability.boards import labels_board, pipeline_board, quality_board, serving_board
from ragwheel.observability.boards.board import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (
    pipeline_board.BOARD,
    labels_board.BOARD,
    quality_board.BOARD,
    serving_board.BOARD,
)

#: Package data, as the rules are.
DASHBOARDS_DIR = Path(observability.__file__).parent / "dashboards"


def files() -> dict[str, bytes]:
    """File name → content of every dashboard."""
    return {
        f"{board.uid}.json": orjson.dumps(board.json(), option=orjson.OPT_INDENT_2) + b"\n"
        for board in DASHBOARDS
    }
