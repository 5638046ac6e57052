"""A board, and its JSON (Grafana's classic model, schema version 41: Grafana 12 and later)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ragwheel.observability.boards.panels import DATASOURCE, Color, Json, Panel

GRID_WIDTH = 24
_ROW_HEIGHT = 1
_TAG = "ragwheel"
_DATASOURCE_VARIABLE = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "current": {},
}
#: To every board with our tag, this one included.
_LINKS = {
    "type": "dashboards",
    "title": "ragwheel",
    "tags": [_TAG],
    "asDropdown": False,
    "includeVars": False,
    "keepTime": True,
    "targetBlank": False,
}


class PanelRow:
    """A titled group of panels, laid out from left to right and wrapped."""

    def __init__(self, title: str, *panels: Panel) -> None:
        self.title = title
        self.panels = panels


def variable(name: str, label: str, query: str, *, default: str, multiple: bool = False) -> Json:
    """A choice at the top of the board, filled from label values.

    Args:
        query: Grafana's `label_values(…)`.
        default: value chosen at first.
        multiple: several values and "All" can be chosen; use it with `=~`.
    """
    chosen = (["All"], ["$__all"]) if multiple else (default, default)
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,  # when the time range changes
        "sort": 3,  # numerical where it can be
        "hide": 0,
        "multi": multiple,
        "includeAll": multiple,
        "allValue": ".*" if multiple else None,
        "current": {"selected": True, "text": chosen[0], "value": chosen[1]},
    }


def mark(name: str, expr: str, text: str, color: Color) -> Json:
    """A vertical line where `expr` has a value: something happened."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "60s",
        "titleFormat": text,
    }


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One board. `uid` is its stable address and file name."""

    uid: str
    title: str
    description: str
    rows: tuple[PanelRow, ...]
    variables: tuple[Json, ...] = ()
    marks: tuple[Json, ...] = ()
    window: str = "now-6h"
    refresh: str = "30s"

    def json(self) -> Json:
        """The board as Grafana provisions it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [_TAG],
            "schemaVersion": 41,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,  # one crosshair over all panels
            "timezone": "utc",  # budgets and partitions are per UTC day
            "time": {"from": self.window, "to": "now"},
            "refresh": self.refresh,
            "fiscalYearStartMonth": 0,
            "links": [_LINKS],
            "annotations": {"list": list(self.marks)},
            "templating": {"list": [_DATASOURCE_VARIABLE, *self.variables]},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[Json]:
        """Rows and panels with ids from 1 and places that do not overlap."""
        number, top = 1, 0
        for row in self.rows:
            yield {
                "id": number,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": GRID_WIDTH, "h": _ROW_HEIGHT},
                "panels": [],
            }
            number, top, left, tallest = number + 1, top + _ROW_HEIGHT, 0, 0
            for panel in row.panels:
                if left + panel.width > GRID_WIDTH:
                    top, left, tallest = top + tallest, 0, 0
                yield panel.json(number, left, top)
                number, left, tallest = number + 1, left + panel.width, max(tallest, panel.height)
            top += tallest
