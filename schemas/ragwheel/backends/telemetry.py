"""Logging and /metrics of a process. Needs prometheus-client (in [streams] and [trainers])."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from threading import Lock
from time import monotonic, time
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    make_wsgi_app,
    start_http_server,
)

from ragwheel.schemas import metrics
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.metrics import ALL_METRICS, Metric, ProcessName
from ragwheel.schemas.settings import MetricsSettings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_LOG = logging.getLogger(__name__)
#: Upper bounds of the buckets of every histogram: all of ours measure seconds.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_OK = ("200 OK", b"ok\n")
_STUCK = ("503 Service Unavailable", b"the main loop has not turned in time\n")
_KINDS: Mapping[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class Telemetry:
    """Values of the metrics of `ragwheel.schemas.metrics` in one registry of its own.

    Thread-safe. A wrong label name or kind is a programmer's error and raises ValueError.
    """

    def __init__(self, process: ProcessName | None = None) -> None:
        """Families of `process` are visible from the start: a counter at 0 says more than none."""
        self.registry = CollectorRegistry()
        self._families: dict[str, Counter | Gauge | Histogram] = {}
        self._lock = Lock()
        self._due = float("inf")
        self._values: dict[str, set[str]] = {label: set() for label in metrics.MOST_VALUES}
        self._capped: set[str] = set()
        shown = {process, "worker"} if process else set()
        for metric in ALL_METRICS:
            if metric.process in shown:
                self._family(metric)

    def inc(self, metric: Metric, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter."""
        self._child(metric, "counter", labels).inc(amount)

    def set(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._child(metric, "gauge", labels).set(value)

    def observe(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Add an observation to a histogram."""
        self._child(metric, "histogram", labels).observe(value)

    def value(self, metric: Metric, /, **labels: str) -> float:
        """Current value of a counter or gauge; 0 if it was never touched."""
        name = metric.name
        return self.registry.get_sample_value(name, labels or None) or 0.0

    def clear(self, metric: Metric) -> None:
        """Forget all label sets of a metric, e.g. of a model that is no longer served."""
        cast(Gauge, self._family(metric)).clear()

    def bounded(self, label: str, value: str, of: str) -> str:
        """`value`, or `other` once the label has `metrics.MOST_VALUES` different ones.

        Values that services choose may be a query or a user by mistake. The first one too many is
        logged, with `of`: who sent it.
        """
        known = self._values[label]
        if value not in known:
            with self._lock:
                if len(known) >= metrics.MOST_VALUES[label]:
                    self._tell_capped(label, value, of)
                    return "other"
                known.add(value)
        return value

    def _tell_capped(self, label: str, value: str, of: str) -> None:
        if label not in self._capped:
            self._capped.add(label)
            _LOG.warning(
                "metrics show at most %d values of `%s`; %r of %s and further ones count as "
                "`other`: give it names that are few", metrics.MOST_VALUES[label], label,
                value[:80], of,
            )  # fmt: skip

    def turned(self, again_within_s: float) -> None:
        """Say that the main loop turned, and will again within so many seconds.

        What answers /metrics and /healthz is another thread, which lives on when the loop is stuck.
        """
        self._due = monotonic() + again_within_s
        self.set(metrics.LOOP_DUE, time() + again_within_s)

    @property
    def healthy(self) -> bool:
        """Whether the main loop turned in time; True before its first turn."""
        return monotonic() < self._due

    def serve(self, settings: MetricsSettings) -> int:
        """Serve /metrics and /healthz (200, or 503 when not `healthy`) in a daemon thread.

        Returns:
            The port, or -1 when it is turned off.

        Raises:
            ConfigError: the port is taken.
        """
        if settings.metrics_port < 0:
            return -1
        try:
            server, _ = start_http_server(
                settings.metrics_port, settings.metrics_host, registry=self.registry
            )
        except OSError as error:
            raise ConfigError(
                f"RAGWHEEL_METRICS_PORT: cannot listen on {settings.metrics_host}:"
                f"{settings.metrics_port} ({error.strerror}); choose another or 0 for a free one"
            ) from None
        ProcessCollector(registry=self.registry)
        self.set(metrics.BUILD, 1, version=version("ragwheel"), python=platform.python_version())
        server.set_app(self._with_health(make_wsgi_app(self.registry)))
        port = int(server.server_port)
        _LOG.info("metrics at http://%s:%d/metrics", settings.metrics_host, port)
        return port

    def _with_health(self, metrics_app: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] != "/healthz":
                return metrics_app(environ, start_response)
            status, text = _OK if self.healthy else _STUCK
            start_response(status, [("Content-Type", "text/plain")])
            return [text]

        return answer

    def _family(self, metric: Metric) -> Counter | Gauge | Histogram:
        with self._lock:
            family = self._families.get(metric.name)
            if family is None:
                options: dict[str, Any] = {"registry": self.registry}
                if metric.kind == "histogram":
                    options["buckets"] = _SECONDS
                family = _KINDS[metric.kind](metric.name, metric.help, metric.labels, **options)
                self._families[metric.name] = family
            return family

    def _child(self, metric: Metric, kind: str, labels: dict[str, str]) -> Any:
        if metric.kind != kind:
            raise ValueError(f"{metric.name} is a {metric.kind}, not a {kind}")
        family = self._family(metric)
        return family.labels(**labels) if metric.labels else family


def configure_logging(level: str) -> None:
    """One line per record on stderr: time, level, logger, message."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
