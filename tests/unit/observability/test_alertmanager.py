"""Alertmanager's configuration follows the environment, and sends each alert where it belongs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.rigs.alertmanager import configured, require_alertmanager
from tests.unit.observability.promql import rules

MAIL = {
    "ALERT_MAIL_TO": "team@example.org",
    "ALERT_MAIL_FROM": "ragwheel@example.org",
    "ALERT_SMTP_HOST": "mail.example.org:587",
    "ALERT_SMTP_USERNAME": "ragwheel",
    "ALERT_SMTP_PASSWORD": "p'a: #$(x)`\"",
}
HOOK = {"ALERT_WEBHOOK_URL": "https://hooks.example.org/a?b='c'&d=#e"}
WATCHDOG = {"ALERT_WATCHDOG_URL": "https://hc.example.org/ping"}


def _read(folder: Path, **variables: str) -> dict[str, Any]:
    status, text, _ = configured(folder, **variables)
    assert status == 0
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def _receivers(config: dict[str, Any]) -> dict[str, Any]:
    return {receiver.pop("name"): receiver for receiver in config["receivers"]}


@pytest.mark.parametrize(
    "variables", [{}, HOOK, MAIL, WATCHDOG, HOOK | MAIL | WATCHDOG], ids=lambda each: str(len(each))
)
def test_alertmanager_accepts_what_is_written(tmp_path: Path, variables: dict[str, str]) -> None:
    require_alertmanager()
    configured(tmp_path, **variables)
    checked = subprocess.run(
        ["amtool", "check-config", str(tmp_path / "alertmanager.yml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_webhook_and_mail_are_receivers_with_any_characters_in_their_secrets(
    tmp_path: Path,
) -> None:
    receivers = _receivers(_read(tmp_path, **(HOOK | MAIL | WATCHDOG)))
    assert receivers["people"]["webhook_configs"] == [{"url": HOOK["ALERT_WEBHOOK_URL"]}]
    assert receivers["people"]["email_configs"] == [
        {
            "to": "team@example.org",
            "from": "ragwheel@example.org",
            "smarthost": "mail.example.org:587",
            "send_resolved": True,
            "auth_username": "ragwheel",
            "auth_password": MAIL["ALERT_SMTP_PASSWORD"],
        }
    ]
    assert receivers["watchdog"]["webhook_configs"] == [
        {"url": WATCHDOG["ALERT_WATCHDOG_URL"], "send_resolved": False}
    ]
    mode = stat.S_IMODE((tmp_path / "alertmanager.yml").stat().st_mode)
    assert mode == 0o600, "it holds secrets"


def test_without_a_receiver_it_runs_and_says_that_nobody_is_told(tmp_path: Path) -> None:
    status, text, said = configured(tmp_path)
    assert status == 0
    assert _receivers(yaml.safe_load(text)) == {"people": {}, "watchdog": {}}
    assert "ALERT_WEBHOOK_URL" in said
    assert "nobody is told" in said
    assert "ALERT_WATCHDOG_URL" in said


@pytest.mark.parametrize("missing", ["ALERT_SMTP_HOST", "ALERT_MAIL_FROM"])
def test_half_a_mail_is_an_error_and_not_silence(tmp_path: Path, missing: str) -> None:
    status, text, said = configured(tmp_path, **(MAIL | {missing: ""}))
    assert (status, text) == (78, "")
    assert "ALERT_MAIL_TO needs ALERT_SMTP_HOST" in said


@pytest.mark.parametrize("rule", list(rules("alert")), ids=lambda rule: str(rule["alert"]))
def test_every_alert_but_the_watchdog_goes_to_people(tmp_path: Path, rule: dict[str, Any]) -> None:
    require_alertmanager()
    assert shutil.which("amtool")
    configured(tmp_path)
    labels = {"alertname": rule["alert"], **rule["labels"]}
    routed = subprocess.run(
        ["amtool", "config", "routes", "test", "--config.file", str(tmp_path / "alertmanager.yml"),
         *(f"{name}={value}" for name, value in labels.items())],
        capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    expected = "watchdog" if rule["alert"] == "RagwheelWatchdog" else "people"
    assert routed.stdout.split()[-1] == expected
