"""Reading a process's /metrics as Prometheus does."""

from __future__ import annotations

import urllib.request
from contextlib import suppress

from prometheus_client.parser import text_string_to_metric_families

from ragwheel.schemas.metrics import Metric

_TIMEOUT_S = 5.0


class Scraped:
    """All samples of one reading, given as the text format; none without a text."""

    def __init__(self, text: str = "") -> None:
        families = text_string_to_metric_families(text)
        self._samples = [sample for family in families for sample in family.samples]

    def value(self, metric: Metric, /, **labels: str) -> float | None:
        """The value with exactly these labels, None when it is not there."""
        named = (sample for sample in self._samples if sample.name == metric.name)
        return next((float(sample.value) for sample in named if sample.labels == labels), None)


def scrape(port: int) -> Scraped:
    """Read /metrics of a process on this machine; empty while it does not answer."""
    with suppress(OSError):
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            return Scraped(answer.read().decode())
    return Scraped()
