"""All checks in the order in which a person would repair things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ragwheel.operations.doctor import machine, runtimes, services
from ragwheel.operations.doctor.finding import Finding, fail
from ragwheel.operations.extras import EXTRAS, missing_packages
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import (
    ClickHouseSettings,
    GraderSettings,
    KafkaSettings,
    ServingSettings,
    TrainerSettings,
)


def examine(
    home: Path, local: Callable[[], Iterable[Finding]], *, configured: bool, quick: bool = False
) -> Iterator[Finding]:
    """Check everything, one finding after the other; never raises for what it finds.

    Args:
        home: where a stack would write.
        local: checks what a local stack needs; asked where the extra [local] is installed.
        configured: somebody said where broker and database are (a stack runs, or by settings).
        quick: leave out what takes seconds: loading torch and the base model.
    """
    yield machine.python()
    for extra in EXTRAS:
        yield runtimes.packages(extra)
    yield machine.memory()
    yield machine.disk(home)
    installed = {extra for extra in EXTRAS if not missing_packages(extra)}
    if "local" in installed:
        yield from local()
    if "trainers" in installed and not quick:
        yield from _with_settings(
            lambda: runtimes.torch_and_model(_base_model(load(TrainerSettings)))
        )
    yield from _with_settings(lambda: [services.broker(load(KafkaSettings), configured=configured)])
    if "streams" in installed or "trainers" in installed:
        yield from _with_settings(
            lambda: [services.database(load(ClickHouseSettings), configured=configured)]
        )
    yield from _with_settings(lambda: [services.llm(load(GraderSettings), configured=configured)])
    if "serving" in installed:
        yield from _with_settings(lambda: _server(configured=configured))
    debian = "install your system's package (Debian: apt install {})"
    no_rules = "rules and dashboards cannot be tried here"
    yield machine.program("prometheus", no_rules, debian.format("prometheus"))
    yield machine.program("promtool", no_rules, debian.format("prometheus"))
    yield machine.program(
        "chromium", "the report's pages are not tested here", debian.format("chromium")
    )


def _server(*, configured: bool) -> list[Finding]:
    # Imported when asked for: images without the extra [serving] do not carry it.
    from ragwheel.operations.doctor.server import server

    return list(server(load(ServingSettings), configured=configured))


def _with_settings(check: Callable[[], list[Finding]]) -> list[Finding]:
    """A setting that cannot be read is a finding of its own."""
    try:
        return check()
    except ConfigError as error:
        return [fail("settings", str(error), "see docs/settings.md")]


def _base_model(settings: TrainerSettings) -> str:
    """The model that is configured, or the one that a local stack takes without configuration."""
    # Imported when asked for: only images with the extra [trainers] carry it.
    from ragwheel.models.packaged import packaged_model

    packaged = packaged_model()
    if packaged and "base_model" not in settings.model_fields_set:
        return str(packaged)
    return settings.base_model
