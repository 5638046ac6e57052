"""Pieces of PromQL that every board uses, and the queries made of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ragwheel.observability.boards.panels import Target, Targets
from ragwheel.schemas.metrics import Metric

Process = Literal["intake", "accounts", "grader", "trainer"]

#: Grafana's window for rates: at least four scrapes, wider when zoomed out.
WINDOW = "$__rate_interval"


def total_rate(metric: Metric, *by: str, where: str = "", window: str = WINDOW) -> str:
    """Events per second, summed over replicas."""
    selector = f"{metric.name}{{{where}}}" if where else metric.name
    grouping = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouping} (rate({selector}[{window}]))"


def or_zero(expr: str, process: Process, **labels: str) -> str:
    """`expr`, or a measured zero: 0 while `process` runs, nothing while it does not.

    A counter with labels does not exist before its first event, and "no data" would not tell
    "nothing went wrong" from "nobody is looking". `labels` name the zero for the legend.
    """
    zero = f'0 * count(up{{job="{process}"}} == 1)'
    for name, value in labels.items():
        zero = f'label_replace({zero}, "{name}", "{value}", "", "")'
    return f"{expr} or on () {zero}"


def share(part: str, whole: str, process: Process) -> str:
    """`part` / `whole`; nothing where there is nothing to take a share of."""
    return f"({or_zero(part, process)}) / ({whole} > 0)"


def quantile(q: float, metric: Metric, *by: str) -> str:
    """A quantile of a histogram over replicas."""
    buckets = total_rate(metric, "le", *by).replace(metric.name, f"{metric.name}_bucket")
    return f"histogram_quantile({q}, {buckets})"


def query(expr: str, legend: str = "") -> Targets:
    """One query; `legend` as in `Target`."""
    return (Target(expr, legend),)


def rates(metric: Metric, *by: str) -> Targets:
    """Events per second, one series for each combination of the labels `by`, named by them."""
    return query(total_rate(metric, *by), _legend(by))


def zeroed(expr: str, process: Process, **labels: str) -> Targets:
    """`or_zero` as one query, its series named by `labels`."""
    return query(or_zero(expr, process, **labels), _legend(labels))


def quantiles(metric: Metric, *by: str, of: Iterable[float]) -> Targets:
    """Quantiles of a histogram, each as a query of its own: `p50`, `p95` …"""
    return tuple(
        Target(quantile(q, metric, *by), f"{_legend(by)} p{q * 100:.0f}".lstrip()) for q in of
    )


def _legend(labels: Iterable[str]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels)
