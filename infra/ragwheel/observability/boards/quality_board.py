"""The board "Retrieval quality and models": is the model in service better than the one before?"""

from __future__ import annotations

from collections.abc import Mapping

from ragwheel.observability.boards.board import Dashboard, PanelRow, mark, variable
from ragwheel.observability.boards.labels_board import WHO_GRADES
from ragwheel.observability.boards.panels import (
    Color,
    Target,
    Targets,
    bars,
    figure,
    gauge,
    series,
    stat,
    table,
)
from ragwheel.observability.boards.pipeline_board import ALERTS
from ragwheel.observability.boards.promql import query, zeroed
from ragwheel.schemas import metrics as m
from ragwheel.schemas.metrics import Metric

#: The segment that stands for the whole gate set, and those that the reader chose.
_WHOLE = 'segment="*"'
_CHOSEN = 'segment=~"$segment"'
_COLORS: Mapping[str, Color] = {"incumbent": "blue", "candidate": "green"}

PROMOTIONS = mark(
    name="Promotions",
    expr=(
        f"max by (model_id) ({m.PROMOTED_MODEL.name})"
        f" unless on (model_id) {m.PROMOTED_MODEL.name} offset 2m"
    ),
    text="in service: {{model_id}}",
    color="blue",
)


def _chosen(metric: Metric, system: str, segment: str = _WHOLE) -> str:
    return (
        f"max by (segment) ({metric.name}"
        f'{{metric="$metric", k="$k", system="{system}", {segment}}})'
    )


def _interval(system: str, title: str, segment: str = _WHOLE) -> Targets:
    """What was measured, and the lower and upper end of its interval."""
    ends = ((m.QUALITY, ""), (m.QUALITY_LOW, " at least"), (m.QUALITY_HIGH, " at most"))
    return tuple(Target(_chosen(end, system, segment), f"{title}{name}") for end, name in ends)


def _area(system: str) -> Targets:
    """The interval as an area over time: its upper end is filled down to its lower."""
    value, low, high = _interval(system, system)
    return value, high, low


_AT_A_GLANCE = PanelRow(
    "At a glance",
    figure(
        "Model in service",
        "Content address of the promoted model, or the name of the base model.",
        query(f"max by (model_id, base_model) ({m.PROMOTED_MODEL.name})", "{{model_id}}"),
        width=6,
        height=5,
        show_name=True,
        value_when_empty="the base model",
    ),
    stat(
        "Gain of the last candidate, all segments",
        "Candidate minus incumbent at the last gate, with the ends of the 95% interval. Proven "
        "only when `at least` is above 0.",
        (
            Target(_chosen(m.QUALITY, "delta"), "gain"),
            Target(_chosen(m.QUALITY_LOW, "delta"), "at least"),
            Target(_chosen(m.QUALITY_HIGH, "delta"), "at most"),
        ),
        unit="percentunit",
        width=6,
        height=5,
        decimals=1,
        minimum=None,
        base_color="red",
        thresholds=((0, "green"),),
        value_when_empty="no gate yet",
    ),
    gauge(
        "Progress to the next training",
        "Queries with a relevant label since the last training, as a share of "
        "RAGWHEEL_TRAIN_MIN_QUERIES.",
        query(f"max({m.TRAIN_QUERIES.name}) / max({m.TRAIN_THRESHOLD.name})"),
        unit="percentunit",
        height=5,
        maximum=1,
        base_color="blue",
        thresholds=((1, "green"),),
    ),
    figure(
        "Queries in the last gate",
        "Judged held-out queries. Below RAGWHEEL_GATE_MIN_QUERIES a model is `shadow` at best.",
        query(f"max({m.GATE_QUERIES.name})"),
        height=5,
        value_when_empty="no gate yet",
    ),
    bars(
        "Training cycles by verdict",
        "Since the trainer started.",
        zeroed(f"sum by (verdict) ({m.TRAIN_CYCLES.name})", "trainer", verdict="none"),
        width=4,
        height=5,
    ),
    WHO_GRADES,
)

_BEFORE_AND_AFTER = PanelRow(
    "Before and after: $metric@$k on held-out queries (recall is pooled), with 95% intervals",
    table(
        "By segment",
        "The last gate. Compare intervals, not points: overlapping intervals are not a "
        "difference; the paired gain is the test. Segment * is the whole gate set.",
        (
            *_interval("incumbent", "Before", _CHOSEN),
            *_interval("candidate", "After", _CHOSEN),
            *_interval("delta", "Gain", _CHOSEN),
            Target(f"max by (segment) ({m.GATE_QUERIES.name}{{{_CHOSEN}}})", "Queries", "none"),
        ),
        unit="percentunit",
        width=24,
        decimals=1,
        minimum=None,
        base_color="text",
    ),
    series(
        "All segments",
        "Incumbent and candidate at each gate. The area is the 95% interval. Each gate pools other "
        "answers: compare both lines at one gate, never one line over time.",
        _area("incumbent") + _area("candidate"),
        unit="percentunit",
        width=12,
        minimum=None,
        bands=tuple((f"{name} at most", f"{name} at least") for name in _COLORS),
        colors={
            f"{name}{end}": color
            for name, color in _COLORS.items()
            for end in ("", " at most", " at least")
        },
    ),
    series(
        "Lower end by segment, incumbent",
        "What the incumbent reached at least at each gate, by segment. Each gate pools other "
        "answers: gates side by side are no trend.",
        query(_chosen(m.QUALITY_LOW, "incumbent", _CHOSEN), "{{segment}}"),
        unit="percentunit",
        width=12,
        minimum=None,
    ),
    bars(
        "Every metric, all segments",
        "The last gate: every system for each metric and cut-off.",
        query(
            f'max by (metric, k, system) ({m.QUALITY.name}{{{_WHOLE}, system!~"delta.*"}})',
            "{{metric}}@{{k}} {{system}}",
        ),
        unit="percentunit",
        width=24,
        maximum=1,
    ),
)

_TRAINING = PanelRow(
    "Training",
    series(
        "Labelled queries and the threshold",
        "Training starts where the lines cross, and the number falls back when it does. Above "
        "the threshold for 3 hours: RagwheelTrainingOverdue.",
        query(f"max({m.TRAIN_QUERIES.name})", "available")
        + query(f"max({m.TRAIN_THRESHOLD.name})", "threshold"),
        width=10,
        colors={"threshold": "red"},
    ),
    bars(
        "Duration by stage",
        "Of the last cycle.",
        query(f"max by (stage) ({m.TRAIN_STAGE_SECONDS.name})", "{{stage}}"),
        unit="s",
        width=10,
    ),
    figure(
        "Triplets",
        "Of the last training set.",
        query(f"max({m.TRIPLETS.name})"),
        height=8,
        value_when_empty="no training yet",
    ),
)

BOARD = Dashboard(
    uid="ragwheel-quality",
    title="ragwheel: retrieval quality and models",
    description="Is the model in service better than the one before, and when comes the next?",
    rows=(_AT_A_GLANCE, _BEFORE_AND_AFTER, _TRAINING),
    variables=(
        variable("metric", "Metric", f"label_values({m.QUALITY.name}, metric)", default="recall"),
        variable(
            "k", "Cut-off", f'label_values({m.QUALITY.name}{{metric="$metric"}}, k)', default="10"
        ),
        variable(
            "segment",
            "Segment",
            f"label_values({m.QUALITY.name}, segment)",
            default="All",
            multiple=True,
        ),
    ),
    marks=(ALERTS, PROMOTIONS),
    window="now-7d",
)
