"""What a dashboard consists of, without Grafana's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["stat", "timeseries", "table", "bargauge", "gauge"]
#: Grafana's unit identifiers that we use; `percentunit` takes 1 for 100 %.
Unit = Literal["none", "short", "percentunit", "s", "currencyUSD", "cps", "rowsps", "reqps"]
Color = Literal["green", "yellow", "orange", "red", "blue", "purple", "text"]

GRID_WIDTH = 24


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

    kind: Kind
    title: str
    description: str
    queries: tuple[Target, ...]
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


@dataclass(frozen=True, slots=True)
class Row:
    """A titled group of panels, laid out from left to right and wrapped."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of the board, filled from label values.

    Attributes:
        query: Grafana's `label_values(…)`.
        default: value chosen at first.
        multiple: several values and "All" can be chosen; use it with `=~`.
    """

    name: str
    label: str
    query: str
    default: str
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line where `expr` has a value: something happened."""

    name: str
    expr: str
    text: str
    color: Color


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One board. `uid` is its stable address and file name."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    marks: tuple[Mark, ...] = ()
    window: str = "now-6h"
    refresh: str = "30s"
