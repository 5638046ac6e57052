"""Grafana dashboards as code.

`python -m ragwheel.observability.boards` writes the JSON that Grafana is provisioned with. Queries
are built from the metrics registry (`ragwheel.schemas.metrics`); tests run every one against a real
Prometheus and compare the committed JSON with what this package makes.
"""

from ragwheel.observability.boards.dashboards import DASHBOARDS, DASHBOARDS_DIR, files

__all__ = ["DASHBOARDS", "DASHBOARDS_DIR", "files"]
