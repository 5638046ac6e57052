"""How a panel's values are shown: units, limits, colours, intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ragwheel.observability.boards.model import Panel

Json = dict[str, Any]


def default_field(panel: Panel) -> Json:
    """Settings of every series of the panel."""
    made: Json = {
        "unit": panel.unit,
        "color": _color(panel),
        "thresholds": {"mode": "absolute", "steps": _steps(panel)},
        "mappings": [],
    }
    optional = {"min": panel.minimum, "max": panel.maximum, "decimals": panel.decimals}
    made |= {name: value for name, value in optional.items() if value is not None}
    if panel.value_when_empty:
        made["noValue"] = panel.value_when_empty
    if panel.kind == "timeseries":
        made["custom"] = _lines(panel)
    if panel.kind == "table":
        made["custom"] = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
    return made


def field_overrides(panel: Panel) -> list[Json]:
    """Settings of single series: meaning-bearing colours, intervals, units of columns."""
    return [
        *_fixed_colors(panel),
        *_bands(panel),
        *_column_units(panel),
    ]


def _color(panel: Panel) -> Json:
    if panel.kind == "timeseries":
        return {"mode": "palette-classic-by-name"}  # a name keeps its colour on every panel
    return {"mode": "thresholds"}


def _steps(panel: Panel) -> list[Json]:
    base: Json = {"color": panel.base_color, "value": None}
    return [base, *({"color": color, "value": value} for value, color in panel.thresholds)]


def _lines(panel: Panel) -> Json:
    return {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 30 if panel.stacked else 5,
        "showPoints": "never",
        "spanNulls": False,  # a gap is information
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.thresholds else "off"},
    }


def _fixed_colors(panel: Panel) -> Iterator[Json]:
    for name, color in panel.colors.items():
        yield _override(name, {"color": {"mode": "fixed", "fixedColor": color}})


def _bands(panel: Panel) -> Iterator[Json]:
    for upper, lower in panel.bands:
        quiet = {
            "custom.lineWidth": 0,
            "custom.hideFrom": {"legend": True, "tooltip": False, "viz": False},
        }
        yield _override(upper, {**quiet, "custom.fillBelowTo": lower, "custom.fillOpacity": 20})
        yield _override(lower, quiet)


def _column_units(panel: Panel) -> Iterator[Json]:
    if panel.kind != "table":
        return
    for query in panel.queries:
        if query.unit:
            yield _override(query.legend, {"unit": query.unit})


def _override(name: str, properties: Json) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }
