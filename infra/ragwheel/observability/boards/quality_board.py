"""The board "Retrieval quality and models": is the model in service better than the one before?"""

from __future__ import annotations

from ragwheel.observability.boards.board import Dashboard, Mark, PanelRow, Variable
from ragwheel.observability.boards.panels import Panel, Target
from ragwheel.observability.boards.pipeline_board import ALERTS
from ragwheel.observability.boards.promql import or_zero
from ragwheel.schemas import metrics as m
from ragwheel.schemas.metrics import Metric

#: Segment that stands for the whole gate set.
ALL_SEGMENTS = "*"

PROMOTIONS = Mark(
    name="Promotions",
    expr=(
        f"max by (model_id) ({m.SERVING_MODEL.name})"
        f" unless on (model_id) {m.SERVING_MODEL.name} offset 2m"
    ),
    text="in service: {{model_id}}",
    color="blue",
)


def _chosen(metric: Metric, system: str, segment: str = f'segment="{ALL_SEGMENTS}"') -> str:
    return (
        f"max by (segment) ({metric.name}"
        f'{{metric="$metric", k="$k", system="{system}", {segment}}})'
    )


def _interval(system: str) -> tuple[Target, Target, Target]:
    return (
        Target(_chosen(m.QUALITY, system), system),
        Target(_chosen(m.QUALITY_HIGH, system), f"{system} at most"),
        Target(_chosen(m.QUALITY_LOW, system), f"{system} at least"),
    )


def _columns(system: str, title: str) -> tuple[Target, Target, Target]:
    segment = 'segment=~"$segment"'
    return (
        Target(_chosen(m.QUALITY, system, segment), title),
        Target(_chosen(m.QUALITY_LOW, system, segment), f"{title} at least"),
        Target(_chosen(m.QUALITY_HIGH, system, segment), f"{title} at most"),
    )


_AT_A_GLANCE = PanelRow(
    "At a glance",
    (
        Panel(
            "stat",
            "Model in service",
            "Content address of the promoted model, or the name of the base model.",
            (Target(f"max by (model_id, base_model) ({m.SERVING_MODEL.name})", "{{model_id}}"),),
            width=6,
            height=5,
            base_color="text",
            show_name=True,
            value_when_empty="the base model",
        ),
        Panel(
            "stat",
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
        Panel(
            "gauge",
            "Progress to the next training",
            "Queries with a relevant label since the last training, as a share of "
            "RAGWHEEL_TRAIN_MIN_QUERIES.",
            (Target(f"max({m.TRAIN_QUERIES.name}) / max({m.TRAIN_THRESHOLD.name})"),),
            unit="percentunit",
            width=4,
            height=5,
            maximum=1,
            base_color="blue",
            thresholds=((1, "green"),),
        ),
        Panel(
            "stat",
            "Queries in the last gate",
            "Judged held-out queries. Below RAGWHEEL_GATE_MIN_QUERIES a model is `shadow` at best.",
            (Target(f"max({m.GATE_QUERIES.name})"),),
            width=4,
            height=5,
            base_color="text",
            value_when_empty="no gate yet",
        ),
        Panel(
            "bargauge",
            "Training cycles by verdict",
            "Since the trainer started.",
            (
                Target(
                    or_zero(f"sum by (verdict) ({m.TRAIN_CYCLES.name})", "trainer", verdict="none"),
                    "{{verdict}}",
                ),
            ),
            width=4,
            height=5,
            base_color="blue",
        ),
    ),
)

_BEFORE_AND_AFTER = PanelRow(
    "Before and after: $metric@$k on held-out queries, with 95% intervals",
    (
        Panel(
            "table",
            "By segment",
            "The last gate. Compare intervals, not points: overlapping intervals are not a "
            "difference; the paired gain is the test. Segment * is the whole gate set.",
            (
                *_columns("incumbent", "Before"),
                *_columns("candidate", "After"),
                *_columns("delta", "Gain"),
                Target(
                    f'max by (segment) ({m.GATE_QUERIES.name}{{segment=~"$segment"}})',
                    "Queries",
                    unit="none",
                ),
            ),
            unit="percentunit",
            width=24,
            decimals=1,
            minimum=None,
            base_color="text",
        ),
        Panel(
            "timeseries",
            "All segments",
            "Incumbent and candidate at each gate. The area is the 95% interval.",
            (*_interval("incumbent"), *_interval("candidate")),
            unit="percentunit",
            width=12,
            minimum=None,
            bands=(
                ("incumbent at most", "incumbent at least"),
                ("candidate at most", "candidate at least"),
            ),
            colors={
                "incumbent": "blue",
                "incumbent at most": "blue",
                "incumbent at least": "blue",
                "candidate": "green",
                "candidate at most": "green",
                "candidate at least": "green",
            },
        ),
        Panel(
            "timeseries",
            "Lower end by segment, incumbent",
            "What the incumbent reached at least at each gate, by segment. Each gate pools other "
            "answers: gates side by side are no trend.",
            (Target(_chosen(m.QUALITY_LOW, "incumbent", 'segment=~"$segment"'), "{{segment}}"),),
            unit="percentunit",
            width=12,
            minimum=None,
        ),
        Panel(
            "bargauge",
            "Every metric, all segments",
            "The last gate: incumbent and candidate for each metric and cut-off.",
            (
                Target(
                    f"max by (metric, k, system) ({m.QUALITY.name}"
                    f'{{segment="{ALL_SEGMENTS}", system!="delta"}})',
                    "{{metric}}@{{k}} {{system}}",
                ),
            ),
            unit="percentunit",
            width=24,
            height=8,
            maximum=1,
            base_color="blue",
        ),
    ),
)

_TRAINING = PanelRow(
    "Training",
    (
        Panel(
            "timeseries",
            "Labelled queries and the threshold",
            "Training starts where the lines cross, and the number falls back when it does. Above "
            "the threshold for 3 hours: RagwheelTrainingOverdue.",
            (
                Target(f"max({m.TRAIN_QUERIES.name})", "available"),
                Target(f"max({m.TRAIN_THRESHOLD.name})", "threshold"),
            ),
            width=10,
            colors={"threshold": "red"},
        ),
        Panel(
            "bargauge",
            "Duration by stage",
            "Of the last cycle.",
            (Target(f"max by (stage) ({m.TRAIN_STAGE_SECONDS.name})", "{{stage}}"),),
            unit="s",
            width=10,
            base_color="blue",
        ),
        Panel(
            "stat",
            "Triplets",
            "Of the last training set.",
            (Target(f"max({m.TRIPLETS.name})"),),
            width=4,
            base_color="text",
            value_when_empty="no training yet",
        ),
    ),
)

BOARD = Dashboard(
    uid="ragwheel-quality",
    title="ragwheel: retrieval quality and models",
    description="Is the model in service better than the one before, and when comes the next?",
    rows=(_AT_A_GLANCE, _BEFORE_AND_AFTER, _TRAINING),
    variables=(
        Variable("metric", "Metric", f"label_values({m.QUALITY.name}, metric)", default="recall"),
        Variable(
            "k", "Cut-off", f'label_values({m.QUALITY.name}{{metric="$metric"}}, k)', default="10"
        ),
        Variable(
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
