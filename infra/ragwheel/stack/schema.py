"""Bringing broker and database to the form that the workers expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, TypeVar

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.kafka import create_topics, require_broker
from ragwheel.backends.migrate import migrate
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import PREFIX, ClickHouseSettings, KafkaSettings, Settings

_Settings = TypeVar("_Settings", bound=Settings)


def settings_in(env: Mapping[str, str], kind: type[_Settings], **overrides: Any) -> _Settings:
    """The settings that a process with the variables `env` would read.

    Raises:
        ConfigError: as `ragwheel.schemas.loading.load`.
    """
    values: dict[str, Any] = {}
    for field in kind.model_fields:
        text = env.get(PREFIX + field.upper(), "")
        if text:
            values[field] = text
    return load(kind, **(values | overrides))


def create_schema(env: Mapping[str, str], on_progress: Callable[[str], None]) -> None:
    """Create the tables that are missing."""
    settings = settings_in(env, ClickHouseSettings)
    with closing(connect(settings, create_database=True)) as client:
        applied = migrate(client, replicated=settings.clickhouse_replicated, tell=on_progress)
    if applied:
        on_progress(f"clickhouse: {len(applied)} migration(s) applied")


def create_missing_topics(
    env: Mapping[str, str], on_progress: Callable[[str], None], *, replication: int
) -> None:
    """Create the topics that are missing; `replication` -1 takes the broker's default."""
    settings = settings_in(env, KafkaSettings)
    require_broker(settings)
    created = create_topics(settings, replication=replication)
    if created:
        on_progress(f"kafka: {len(created)} topics created")
