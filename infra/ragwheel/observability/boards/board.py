"""Grafana's dashboard JSON (the classic model, schema version 41: Grafana 12 and later)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ragwheel.observability.boards.fields import default_field, field_overrides
from ragwheel.observability.boards.model import (
    GRID_WIDTH,
    Dashboard,
    Mark,
    Panel,
    Target,
    Variable,
)

SCHEMA_VERSION = 41
#: Whatever Prometheus the reader chooses in the board's first variable.
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ROW_HEIGHT = 1
_TAG = "ragwheel"

Json = dict[str, Any]


def dashboard_json(board: Dashboard, others: Sequence[Dashboard] = ()) -> Json:
    """The dashboard as Grafana provisions it, linked to all boards with our tag."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": [_TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # one crosshair over all panels
        "timezone": "utc",  # budgets and partitions are per UTC day
        "time": {"from": board.window, "to": "now"},
        "refresh": board.refresh,
        "fiscalYearStartMonth": 0,
        "links": [_links()] if len(others) > 1 else [],
        "annotations": {"list": [_annotation(mark) for mark in board.marks]},
        "templating": {"list": [_datasource_variable(), *map(_variable, board.variables)]},
        "panels": list(_panels(board)),
    }


def _panels(board: Dashboard) -> Iterator[Json]:
    """Rows and panels with ids from 1 and places that do not overlap."""
    number, top = 1, 0
    for row in board.rows:
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
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield _panel(panel, number, place)
            number, left, tallest = number + 1, left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel: Panel, number: int, place: Json) -> Json:
    made: Json = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [_target(panel, query, at) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": default_field(panel), "overrides": field_overrides(panel)},
        "options": _options(panel),
    }
    if panel.kind == "table":
        made["transformations"] = _one_row_per_label_set(panel)
    return made


def _target(panel: Panel, query: Target, position: int) -> Json:
    over_time = panel.kind == "timeseries"
    return {
        "refId": ref_id(position),
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": "table" if panel.kind == "table" else "time_series",
        "instant": not over_time,
        "range": over_time,
    }


def ref_id(position: int) -> str:
    """Grafana's name of the query at `position`: A, B, C …"""
    return chr(ord("A") + position)


def _options(panel: Panel) -> Json:
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        return {
            "colorMode": "value" if panel.show_name else "background",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": reduce,
            "textMode": "name" if panel.show_name else "auto",
            "wideLayout": True,
        }
    if panel.kind == "gauge":
        return {
            "orientation": "auto",
            "reduceOptions": reduce,
            "showThresholdLabels": False,
            "showThresholdMarkers": True,
        }
    if panel.kind == "bargauge":
        return {
            "displayMode": "basic",
            "orientation": "horizontal",
            "reduceOptions": reduce,
            "showUnfilled": True,
            "valueMode": "text",
        }
    if panel.kind == "table":
        return {"cellHeight": "sm", "showHeader": True, "footer": {"show": False}}
    return {
        "legend": {
            "calcs": ["lastNotNull", "max"],
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _one_row_per_label_set(panel: Panel) -> list[Json]:
    """Join the instant queries of a table on their labels and title the value columns."""
    several = len(panel.queries) > 1
    titles = {
        f"Value #{ref_id(at)}" if several else "Value": query.legend
        for at, query in enumerate(panel.queries)
    }
    hidden = dict.fromkeys(("Time", *panel.hidden_labels), True)
    organize = {"excludeByName": hidden, "indexByName": {}, "renameByName": titles}
    merge: list[Json] = [{"id": "merge", "options": {}}] if several else []
    return [*merge, {"id": "organize", "options": organize}]


def _links() -> Json:
    return {
        "type": "dashboards",
        "title": "ragwheel",
        "tags": [_TAG],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
    }


def _annotation(mark: Mark) -> Json:
    return {
        "name": mark.name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": mark.color,
        "expr": mark.expr,
        "step": "60s",
        "titleFormat": mark.text,
    }


def _datasource_variable() -> Json:
    return {
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


def _variable(variable: Variable) -> Json:
    chosen: Json = {"selected": True, "text": variable.default, "value": variable.default}
    if variable.multiple:
        chosen = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": variable.query,
        "query": {"query": variable.query, "refId": f"variable-{variable.name}"},
        "refresh": 2,  # when the time range changes
        "sort": 3,  # numerical where it can be
        "hide": 0,
        "multi": variable.multiple,
        "includeAll": variable.multiple,
        "allValue": ".*" if variable.multiple else None,
        "current": chosen,
    }
