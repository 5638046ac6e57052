"""The settings as the files that docker-compose.yml and its users read; printed by `export`.

`infra/docker/settings.yml` names the settings of each service, so that compose hands every one of
them on from the environment or from `.env`, and to no process those of another. `.env.example` is
what a person copies. Both follow the settings: none can be forgotten.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from ragwheel.schemas.loading import describe
from ragwheel.schemas.settings import (
    PREFIX,
    PROCESS_SETTINGS,
    ClickHouseSettings,
    KafkaSettings,
    Settings,
)

#: Service of docker-compose.yml → what it reads. The client runs in other people's containers, and
#: a re-embedding is a command that somebody types.
COMPOSE_SERVICES: Mapping[str, type[Settings]] = {
    "topics": KafkaSettings,
    "migrate": ClickHouseSettings,
    **{name: kind for name, kind in PROCESS_SETTINGS.items() if name not in ("client", "reembed")},
}
#: What docker-compose.yml itself decides, because mounts, ports and checks depend on it.
FIXED_BY_COMPOSE = frozenset(
    PREFIX + name
    for name in (
        "METRICS_HOST", "METRICS_PORT", "MODEL_DIR", "VECTOR_CACHE_DIR", "SERVING_HOST",
        "SERVING_PORT", "SERVING_DIR",
    )
)  # fmt: skip
#: Defaults of docker-compose.yml where the process's own would be wrong there.
DEFAULTS_OF_COMPOSE: Mapping[str, str] = {
    "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": "kafka:19092",
    "RAGWHEEL_CLICKHOUSE_URL": "http://clickhouse:8123/ragwheel",
    "RAGWHEEL_CLICKHOUSE_USER": "ragwheel",
    "RAGWHEEL_DAILY_BUDGET_USD": "5",
    "RAGWHEEL_ARTIFACTS": "file:///var/lib/ragwheel-artifacts",
}
#: What compose demands before it starts anything.
REQUIRED_BY_COMPOSE = (
    "RAGWHEEL_CLICKHOUSE_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
    "RAGWHEEL_SERVING_KEYS",
)

_NOTE = "# Printed by `python -m ragwheel.schemas.export`; change the code instead."
_HEAD = f"""\
# Settings of docker-compose.yml: copy this file to .env beside it and fill in what you need.
# Put a value with special characters between single quotes. Variables that you export win over
# this file. A name that is not listed here reaches no process.
{_NOTE}

# --- Required -------------------------------------------------------------------------------------

# Password of the ClickHouse user that compose creates; any characters.
RAGWHEEL_CLICKHOUSE_PASSWORD=

# Password of Grafana's user `admin`.
GRAFANA_ADMIN_PASSWORD=

# Keys of the server, comma-separated: callers send one as `Authorization: Bearer KEY`.
RAGWHEEL_SERVING_KEYS=

# --- Compose --------------------------------------------------------------------------------------

# Ports on this host; all are bound to 127.0.0.1.
#KAFKA_PORT=9092
#CLICKHOUSE_PORT=8123
#PROMETHEUS_PORT=9090
#ALERTMANAGER_PORT=9093
#GRAFANA_PORT=3000
#SERVER_PORT=8400

# Limits of the services whose need grows with the data.
#KAFKA_MEMORY=2g
#KAFKA_HEAP_OPTS=-Xmx1g
#CLICKHOUSE_MEMORY=4g
#CLICKHOUSE_CPUS=2
#INTAKE_MEMORY=1g
#TRAINER_MEMORY=8g
#TRAINER_CPUS=2
#SERVER_MEMORY=3g
#SERVER_CPUS=2

# Tag of the images that are built here.
#IMAGE_TAG=local

# Other images than the pinned ones: a mirror, or a digest (docs/operations.md#images).
#KAFKA_IMAGE=
#CLICKHOUSE_IMAGE=
#PROMETHEUS_IMAGE=
#ALERTMANAGER_IMAGE=
#GRAFANA_IMAGE=
#KAFKA_EXPORTER_IMAGE=
#NODE_EXPORTER_IMAGE=
#PYTHON_IMAGE=

# Build of torch in the images of trainer and server: cpu, or cuda (see infra/docker/gpu.yml).
#TORCH_BACKEND=cpu

# Where alerts go (docs/operations.md#who-is-told). Empty: they show in Grafana and reach nobody.
#ALERT_WEBHOOK_URL=
#ALERT_MAIL_TO=
#ALERT_MAIL_FROM=
#ALERT_SMTP_HOST=
#ALERT_SMTP_USERNAME=
#ALERT_SMTP_PASSWORD=
# Called every minute while alerting works; let something outside notice when it stops.
#ALERT_WATCHDOG_URL=
"""


def compose_settings() -> str:
    """infra/docker/settings.yml: each service's variables, without values."""
    lines = [
        "# Which settings compose hands on to which service: the services of docker-compose.yml",
        "# extend these. A variable without a value is taken from the environment or from .env,",
        "# and is absent in the container where neither has it.",
        _NOTE,
        "services:",
    ]
    for service, settings in COMPOSE_SERVICES.items():
        lines += [f"  {service}:", "    environment:"]
        lines += [f"      {PREFIX}{field.upper()}:" for field in settings.model_fields]
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """.env.example: what a person may set, with defaults and meanings."""
    readers: dict[str, list[str]] = {}
    rows: dict[str, tuple[str, str]] = {}
    for process, variable, default, description in describe():
        if process in COMPOSE_SERVICES and variable not in FIXED_BY_COMPOSE:
            readers.setdefault(variable, []).append(process)
            rows.setdefault(variable, (default, description))
    sections: dict[str, list[str]] = {}
    for variable, processes in readers.items():
        if variable not in REQUIRED_BY_COMPOSE:
            sections.setdefault(", ".join(processes), []).append(variable)
    lines = [_HEAD]
    for who, variables in sections.items():
        lines += [f"# --- Read by {who} ".ljust(100, "-"), ""]
        for variable in variables:
            default, description = rows[variable]
            default = DEFAULTS_OF_COMPOSE.get(variable, default)
            lines += textwrap.wrap(
                description, 100, initial_indent="# ", subsequent_indent="# ",
                break_on_hyphens=False,
            )  # fmt: skip
            lines += [f"#{variable}={_written(default)}", ""]
    return "\n".join(lines)


def _written(default: str) -> str:
    return default.lower() if default in ("True", "False") else default
