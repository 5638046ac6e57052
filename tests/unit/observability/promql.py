"""Reads names and labels out of PromQL: enough to hold queries against the metrics registry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from ragwheel.schemas.metrics import ALL_METRICS

ROOT = Path(__file__).parents[3]
RULES_DIR = ROOT / "infra/ragwheel/observability/rules"

#: Labels that Prometheus adds to everything it scrapes.
_TARGET_LABELS = frozenset({"job", "instance"})
#: Metrics of others that rules read, and the labels that they are grouped by.
_OF_OTHERS = {
    "alertmanager_notifications_failed_total": {"integration"},
    "kafka_topic_partition_under_replicated_partition": {"topic"},
}
_NAME = re.compile(r"[a-z_]*:?ragwheel[a-z0-9_]*(?::[a-z0-9_]+)*")
_SELECTOR = re.compile(rf"({_NAME.pattern})\s*(?:\{{([^}}]*)\}})?")
_MATCHER = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")
_LABEL_LIST = re.compile(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([a-z_,\s]*)\)")
_RECORDED_BY = re.compile(r"\bby\s*\(([a-z_,\s]*)\)")


@dataclass(frozen=True, slots=True)
class Selector:
    """One use of a metric: its name and the labels it is selected by."""

    name: str
    labels: frozenset[str]


def rule_files() -> list[Path]:
    """Every rule file that Prometheus loads."""
    return sorted(RULES_DIR.glob("*.rules.yml"))


@cache
def _all_rules() -> tuple[Mapping[str, Any], ...]:
    groups = (yaml.safe_load(path.read_text("utf-8"))["groups"] for path in rule_files())
    return tuple(rule for group in chain.from_iterable(groups) for rule in group["rules"])


def rules(kind: str) -> Iterator[Mapping[str, Any]]:
    """Rules of a kind, `alert` or `record`."""
    return (rule for rule in _all_rules() if kind in rule)


def selectors(query: str) -> list[Selector]:
    """Every use of a metric of ours in `query`."""
    return [
        Selector(name, frozenset(_MATCHER.findall(matchers or "")))
        for name, matchers in _SELECTOR.findall(query)
    ]


def grouping_labels(query: str) -> set[str]:
    """Labels that `query` groups or joins by."""
    return {
        label.strip()
        for labels in _LABEL_LIST.findall(query)
        for label in labels.split(",")
        if label.strip()
    }


@cache
def label_sets() -> dict[str, frozenset[str]]:
    """Name of every series that exists → its labels: registry, target and recording rules."""
    found: dict[str, frozenset[str]] = {}
    for metric in ALL_METRICS:
        labels = frozenset(metric.labels) | _TARGET_LABELS
        if metric.kind == "histogram":
            found[metric.name + "_bucket"] = labels | {"le"}
            found[metric.name + "_sum"] = found[metric.name + "_count"] = labels
        else:
            found[metric.name] = labels
    for rule in rules("record"):
        by = _RECORDED_BY.search(rule["expr"])
        listed = by[1].split(",") if by else []
        found[rule["record"]] = frozenset(label.strip() for label in listed) | set(
            rule.get("labels", ())
        )
    return found


def faults(query: str) -> list[str]:
    """What in `query` does not exist: metrics, labels of a metric, labels to group by."""
    series = label_sets()
    problems = []
    available: set[str] = set(_TARGET_LABELS)
    available.update(*(labels for name, labels in _OF_OTHERS.items() if name in query))
    for selector in selectors(query):
        if selector.name not in series:
            problems.append(f"no metric {selector.name}")
            continue
        available |= series[selector.name]
        problems += [
            f"{selector.name} has no label {label}"
            for label in sorted(selector.labels - series[selector.name])
        ]
    problems += [f"no label {label}" for label in sorted(grouping_labels(query) - available)]
    return problems


def families(query: str) -> set[str]:
    """Registry names of the metrics that `query` reads, through recording rules too."""
    recorded = {rule["record"]: rule["expr"] for rule in rules("record")}
    names: set[str] = set()
    for selector in selectors(query):
        if selector.name in recorded:
            names |= families(recorded[selector.name])
        else:
            names.add(re.sub(r"_(bucket|sum|count)$", "", selector.name))
    return names
