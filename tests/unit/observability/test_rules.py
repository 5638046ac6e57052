"""Alert and recording rules: valid, true to the metrics registry, explained and tested."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.observability.promql import ROOT, RULES_DIR, faults, rule_files, rules

RUNBOOKS = ROOT / "docs" / "operations.md"
RULE_TESTS = sorted((Path(__file__).parent / "rules").glob("*.test.yml"))
#: Fires always; its silence is the alarm.
WATCHDOG = "RagwheelWatchdog"
ALERTS = {rule["alert"]: rule for rule in rules("alert")}


def _promtool(*args: str | Path) -> subprocess.CompletedProcess[str]:
    promtool = shutil.which("promtool")
    if promtool is None:
        why = "promtool is not installed (Debian: apt install prometheus)"
        if os.environ.get("RAGWHEEL_CI"):
            pytest.fail(why)
        pytest.skip(why)
    return subprocess.run(
        [promtool, *map(str, args)], capture_output=True, text=True, timeout=120, check=False
    )


def _anchors(markdown: str) -> set[str]:
    """Anchors as they are derived from headings: lower case, spaces to dashes."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_prometheus_accepts_the_configuration_and_every_rule() -> None:
    checked = _promtool("check", "config", RULES_DIR.parent / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rule_files())} rule files found" in checked.stdout


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    tested = _promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_seen_to_fire_and_to_stay_quiet() -> None:
    seen: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for path in RULE_TESTS:
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for check in case["alert_rule_test"]:
                seen[check["alertname"]].add(bool(check["exp_alerts"]))
    assert seen.pop(WATCHDOG) == {True}
    assert seen == {name: {True, False} for name in ALERTS if name != WATCHDOG}


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_reads_metrics_and_labels_that_exist(name: str) -> None:
    assert not faults(ALERTS[name]["expr"])


@pytest.mark.parametrize("rule", list(rules("record")), ids=lambda rule: str(rule["record"]))
def test_a_recording_rule_reads_metrics_and_labels_that_exist(rule: Mapping[str, Any]) -> None:
    assert not faults(rule["expr"])
    assert re.fullmatch(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", rule["record"]), "level:metric:operation"


def test_recording_rules_of_one_name_differ_in_a_label() -> None:
    named = [(rule["record"], str(rule.get("labels"))) for rule in rules("record")]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_tells_what_is_wrong_how_bad_and_where_to_read_on(name: str) -> None:
    alert = ALERTS[name]
    severities = {"none"} if name == WATCHDOG else {"critical", "warning"}
    assert alert["labels"]["severity"] in severities
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    numbers = re.search(r"\d|\$value|every minute", notes["description"])
    assert numbers, "a description states numbers"
    assert len(notes["summary"]) < 120
    page, _, anchor = notes["runbook_url"].partition("#")
    assert page.endswith("/docs/operations.md")
    assert anchor == name.lower()
    assert anchor in _anchors(RUNBOOKS.read_text("utf-8"))


def test_a_runbook_has_its_alert_and_says_what_to_do() -> None:
    text = RUNBOOKS.read_text("utf-8")
    sections = dict(
        re.findall(r"^### (Ragwheel\w+)\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    )
    assert set(sections) == set(ALERTS)
    for name, section in sections.items():
        for part in ("**Means.**", "**First look.**", "**Fix.**"):
            assert part in section, f"{name} lacks {part}"


def test_alerts_are_unique_and_named_for_the_product() -> None:
    names = [rule["alert"] for rule in rules("alert")]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"Ragwheel[A-Z]\w+", name) for name in names)
