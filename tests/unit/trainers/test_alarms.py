"""Which alerts of a Prometheus ask for a training, and what becomes of an answer that is none."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import orjson
import pytest
from pydantic import ValidationError

from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.alarms import asking_alert, firing_alert


def alert(name: str, state: str = "firing", **labels: str) -> dict[str, object]:
    return {"labels": {"alertname": name, **labels}, "state": state, "annotations": {}}


def answer(*alerts: dict[str, object]) -> bytes:
    return orjson.dumps({"status": "success", "data": {"alerts": alerts}})


@pytest.mark.parametrize(
    ("alerts", "name"),
    [
        ([], ""),
        ([alert("DiskFull")], ""),
        ([alert("ClicksFell", "pending", ragwheel="train")], ""),
        ([alert("ClicksFell", ragwheel="page")], ""),
        ([alert("DiskFull"), alert("ClicksFell", ragwheel="train")], "ClicksFell"),
    ],
)
def test_only_an_alert_that_fires_and_bears_the_label_asks(
    alerts: list[dict[str, object]], name: str
) -> None:
    assert asking_alert(answer(*alerts)) == name


@pytest.mark.parametrize("said", [b"", b"<html>", b"[]", b'{"data": {"alerts": [{}]}}', b"null"])
def test_an_answer_of_something_else_is_named(said: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        asking_alert(said)


class _Prometheus(BaseHTTPRequestHandler):
    """Answers with an alert at the one path that is asked."""

    def do_GET(self) -> None:
        found = self.path == "/prom/api/v1/alerts"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(answer(alert("ClicksFell", ragwheel="train")) if found else b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Prometheus)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_prometheus_is_asked_below_the_address_of_the_setting(prometheus: str) -> None:
    assert firing_alert(f"{prometheus}/prom/") == "ClicksFell"


def test_one_that_does_not_answer_asks_for_nothing_and_is_logged(
    prometheus: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert firing_alert(prometheus) == ""
    assert "404" in caplog.text
    assert firing_alert("http://127.0.0.1:1") == ""
    assert "RAGWHEEL_TRAIN_ALERTS_URL" in caplog.text


def test_an_address_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValidationError, match="train_alerts_url"):
        TrainerSettings(train_alerts_url="file:///etc/passwd")
