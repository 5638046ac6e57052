"""What commands print with `--json`, where no operation has a value of that shape.

The shapes are committed as json/<command>.schema.json; `reference.REPORTS` has all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragwheel.operations.doctor.finding import Finding
from ragwheel.operations.models import RegistryLine
from ragwheel.operations.running import ProcessState


@dataclass(frozen=True, slots=True)
class Announcement:
    """`ragwheel up`, when everything runs.

    Attributes:
        pid: the process that holds the stack; `ragwheel down` ends it.
        env: settings that lead services and other tools to the stack; no secrets.
    """

    home: str
    pid: int
    env: Mapping[str, str]
    processes: Sequence[ProcessState]


@dataclass(frozen=True, slots=True)
class MetricLine:
    """One metric over all held-out queries, with its 95 % interval.

    Attributes:
        k: cut-off, 0 without one.
        system: incumbent, candidate, or delta for the difference.
    """

    metric: str
    k: int
    system: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Training:
    """`ragwheel train`.

    Attributes:
        available, threshold: answered queries that are new, and how many a training wants.
        model_id: the trained model; None: too few were new, and nothing was done.
        verdict: promoted or refused; empty if nothing was done.
        reason: the verdict in words.
        stage_seconds: wall time per stage.
    """

    available: int
    threshold: int
    model_id: str | None = None
    verdict: str = ""
    reason: str = ""
    metrics: Sequence[MetricLine] = ()
    stage_seconds: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Models:
    """`ragwheel models`.

    Attributes:
        serving: the promoted model; None: the base model serves.
        models: the latest verdict first.
    """

    model_dir: str
    base_model: str
    serving: str | None
    models: Sequence[RegistryLine]


@dataclass(frozen=True, slots=True)
class Examination:
    """`ragwheel doctor`: what was found, and how often."""

    findings: Sequence[Finding]
    ok: int
    warnings: int
    failures: int


@dataclass(frozen=True, slots=True)
class MigrationLine:
    """One migration.

    Attributes:
        moves_data: it rewrites rows, and needs `--allow-data`.
        statements: its SQL, as it runs.
    """

    name: str
    moves_data: bool
    statements: Sequence[str]


@dataclass(frozen=True, slots=True)
class Migrations:
    """`ragwheel migrate`: what was applied, or would be."""

    dry_run: bool
    migrations: Sequence[MigrationLine]


@dataclass(frozen=True, slots=True)
class Topics:
    """`ragwheel topics`: names on the broker of what was created, or would be."""

    dry_run: bool
    topics: Sequence[str]


@dataclass(frozen=True, slots=True)
class Version:
    """`ragwheel version`."""

    ragwheel: str
    python: str
