"""Every metric of the registry can be written with the labels it declares."""

from __future__ import annotations

import pytest

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas.metrics import ALL_METRICS, Metric


@pytest.mark.parametrize("metric", ALL_METRICS, ids=lambda metric: metric.name)
def test_a_metric_takes_a_value_whatever_its_labels_are_called(metric: Metric) -> None:
    # `retrieval_quality` has a label named like a parameter of Telemetry's methods.
    telemetry = Telemetry()
    labels = dict.fromkeys(metric.labels, "some")
    if metric.kind == "counter":
        telemetry.inc(metric, 2, **labels)
    elif metric.kind == "gauge":
        telemetry.set(metric, 2, **labels)
    else:
        telemetry.observe(metric, 2, **labels)
    name = f"{metric.name}_sum" if metric.kind == "histogram" else metric.name
    assert telemetry.registry.get_sample_value(name, labels) == 2
