"""Which models the local stack's graders cannot ask at the moment, as their /metrics tell."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass

from ragwheel.operations.running import ProcessState
from ragwheel.schemas import metrics

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class HeldModel:
    """A model whose circuit is not closed.

    Attributes:
        state: open, or half_open while a small call is tried.
        reason: as in `ragwheel_llm_breaker`: http_401, quota, retry_after, …
    """

    process: str
    model: str
    state: str
    reason: str


def held_models(processes: Iterable[ProcessState]) -> list[HeldModel]:
    """Models that take no calls now; a process that does not answer says nothing."""
    found = []
    for process in processes:
        if process.metrics_port > 0 and process.alive:
            found += in_metrics(process.name, _scrape(process.metrics_port))
    return found


def in_metrics(process: str, exposition: str) -> list[HeldModel]:
    """The same from the text of /metrics."""
    from prometheus_client.parser import text_string_to_metric_families

    samples = [
        sample.labels
        for family in text_string_to_metric_families(exposition)
        if family.name == metrics.LLM_BREAKER.name
        for sample in family.samples
        if sample.value == 1 and sample.labels["state"] != "closed"
    ]
    return [HeldModel(process, each["model"], each["state"], each["reason"]) for each in samples]


def _scrape(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_TIMEOUT_S) as told:
            return str(told.read(), "utf-8")
    except OSError:
        return ""
