"""A panel, and the JSON that Grafana takes for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

PanelKind = Literal["stat", "timeseries", "table", "bargauge", "gauge"]
#: Grafana's unit identifiers that we use; `percentunit` takes 1 for 100 %.
Unit = Literal[
    "none", "short", "percentunit", "s", "currencyUSD", "bytes", "cps", "rowsps", "reqps"
]
Color = Literal["green", "yellow", "orange", "red", "blue", "purple", "text"]
Json = dict[str, Any]

#: Whatever Prometheus the reader chooses in the board's first variable.
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_REDUCE: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
#: How each kind is drawn.
_OPTIONS: Mapping[PanelKind, Json] = {
    "stat": {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": _REDUCE,
        "textMode": "auto",
        "wideLayout": True,
    },
    "gauge": {
        "orientation": "auto",
        "reduceOptions": _REDUCE,
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
    },
    "bargauge": {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": _REDUCE,
        "showUnfilled": True,
        "valueMode": "text",
    },
    "table": {"cellHeight": "sm", "showHeader": True, "footer": {"show": False}},
    "timeseries": {
        "legend": {
            "calcs": ["lastNotNull", "max"],
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}


@dataclass(frozen=True, slots=True)
class Target:
    """One PromQL query of a panel.

    Attributes:
        legend: Grafana's legend format, e.g. `{{topic}}`; in a table the column's title.
        unit: of this column of a table; None takes the panel's.
    """

    expr: str
    legend: str = ""
    unit: Unit | None = None


#: The queries of a panel; `+` puts several side by side.
Targets = tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        description: what an SRE should read from it, shown as its tooltip.
        width: of the grid's 24 columns.
        height: in grid rows (about 30 pixels each).
        thresholds: (lower bound, colour) in rising order; the base is `base_color`.
        stacked: areas on top of each other (time series only).
        bands: (upper, lower) legends between which the area is filled: an interval.
        colors: legend → fixed colour, where a colour means something.
        value_when_empty: shown instead of "No data" where emptiness is normal.
        show_name: show a series' name rather than its value (stat only).
        hidden_labels: labels that are no column (table only).
    """

    kind: PanelKind
    title: str
    description: str
    queries: Targets
    unit: Unit = "short"
    width: int = 8
    height: int = 8
    decimals: int | None = None
    minimum: float | None = 0
    maximum: float | None = None
    base_color: Color = "green"
    thresholds: tuple[tuple[float, Color], ...] = ()
    stacked: bool = False
    bands: tuple[tuple[str, str], ...] = ()
    colors: Mapping[str, Color] = field(default_factory=dict)
    value_when_empty: str = ""
    show_name: bool = False
    hidden_labels: tuple[str, ...] = ()

    def json(self, number: int, left: int, top: int) -> Json:
        """The panel under its id on the board, at a place of the grid."""
        made: Json = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": left, "y": top, "w": self.width, "h": self.height},
            "targets": [self._target(query, at) for at, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": _OPTIONS[self.kind],
        }
        if self.show_name:
            made["options"] = _OPTIONS["stat"] | {"colorMode": "value", "textMode": "name"}
        if self.kind == "table":
            made["transformations"] = self._one_row_per_label_set()
        return made

    def _target(self, query: Target, position: int) -> Json:
        over_time = self.kind == "timeseries"
        return {
            "refId": _ref_id(position),
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "format": "table" if self.kind == "table" else "time_series",
            "instant": not over_time,
            "range": over_time,
        }

    def _defaults(self) -> Json:
        """Settings of every series: units, limits, colours."""
        # A name keeps its colour on every panel.
        mode = "palette-classic-by-name" if self.kind == "timeseries" else "thresholds"
        steps: list[tuple[float | None, Color]] = [(None, self.base_color), *self.thresholds]
        made: Json = {
            "unit": self.unit,
            "color": {"mode": mode},
            "thresholds": {
                "mode": "absolute",
                "steps": [{"color": color, "value": value} for value, color in steps],
            },
            "mappings": [],
        }
        optional = {"min": self.minimum, "max": self.maximum, "decimals": self.decimals}
        made |= {name: value for name, value in optional.items() if value is not None}
        if self.value_when_empty:
            made["noValue"] = self.value_when_empty
        if self.kind == "timeseries":
            made["custom"] = {
                "drawStyle": "line",
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "fillOpacity": 30 if self.stacked else 5,
                "showPoints": "never",
                "spanNulls": False,  # a gap is information
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if self.thresholds else "off"},
            }
        if self.kind == "table":
            made["custom"] = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
        return made

    def _overrides(self) -> list[Json]:
        """Settings of single series: meaning-bearing colours, intervals, units of columns."""
        found: list[tuple[str, Json]] = [
            (name, {"color": {"mode": "fixed", "fixedColor": color}})
            for name, color in self.colors.items()
        ]
        quiet = {
            "custom.lineWidth": 0,
            "custom.hideFrom": {"legend": True, "tooltip": False, "viz": False},
        }
        for upper, lower in self.bands:
            filled = {"custom.fillBelowTo": lower, "custom.fillOpacity": 20}
            found += [(upper, quiet | filled), (lower, quiet)]
        if self.kind == "table":
            found += [(query.legend, {"unit": query.unit}) for query in self.queries if query.unit]
        return [
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [{"id": key, "value": value} for key, value in properties.items()],
            }
            for name, properties in found
        ]

    def _one_row_per_label_set(self) -> list[Json]:
        """Join the instant queries of a table on their labels and title the value columns."""
        several = len(self.queries) > 1
        titles = {
            f"Value #{_ref_id(at)}" if several else "Value": query.legend
            for at, query in enumerate(self.queries)
        }
        hidden = dict.fromkeys(("Time", *self.hidden_labels), True)
        organize = {"excludeByName": hidden, "indexByName": {}, "renameByName": titles}
        merge: list[Json] = [{"id": "merge", "options": {}}] if several else []
        return [*merge, {"id": "organize", "options": organize}]


def _ref_id(position: int) -> str:
    """Grafana's name of the query at `position`: A, B, C …"""
    return chr(ord("A") + position)


#: Lines over time.
series = partial(Panel, "timeseries")
#: Events per second over time, stacked to their sum.
flow = partial(series, unit="cps", stacked=True)
#: One number that its colour judges.
stat = partial(Panel, "stat", width=4, height=4)
#: One number that is neither good nor bad.
figure = partial(stat, base_color="text")
gauge = partial(Panel, "gauge", width=4, height=4)
bars = partial(Panel, "bargauge", base_color="blue")
table = partial(Panel, "table")
