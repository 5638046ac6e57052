"""Pieces of PromQL that every board uses."""

from __future__ import annotations

from typing import Literal

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
