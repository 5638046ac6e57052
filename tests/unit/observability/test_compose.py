"""docker-compose.yml and the image: accepted by compose, in step with settings, topics, metrics."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml
from tests.rigs.packaging import DOCKERFILE, IMAGES, PROJECT_FILES, folders_of_image
from tests.unit.observability.promql import ROOT, RULES_DIR

from ragwheel.schemas.settings import (
    PROCESS_SETTINGS,
    ClickHouseSettings,
    KafkaSettings,
    MetricsSettings,
    known_variables,
    load,
)
from ragwheel.schemas.topics import TOPICS

COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ("intake", "accounts", "grader", "trainer")
OURS = (*WORKERS, "topics", "migrate")
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(:?[-?+])?([^}]*)\}")


def _compose_command() -> list[str]:
    """Docker's compose plugin, or the stand-alone program."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        tried = subprocess.run([*command, "version"], capture_output=True, timeout=60, check=False)
        if tried.returncode == 0:
            return command
    why = "docker compose is not installed (Debian: apt install docker-compose)"
    if os.environ.get("RAGWHEEL_CI"):
        pytest.fail(why)
    pytest.skip(why)


def _environment(service: str) -> dict[str, str]:
    """What the containers of a service see when the host sets nothing."""
    given = SERVICES[service].get("environment", {})
    return {name: _VARIABLE.sub(lambda found: found[3], value) for name, value in given.items()}


def test_compose_accepts_the_file_without_any_variable_set() -> None:
    accepted = subprocess.run(
        [*_compose_command(), "--file", str(COMPOSE_FILE), "config"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
    )
    assert accepted.returncode == 0, accepted.stderr
    assert "variable is not set" not in accepted.stderr, "every variable has a default"
    resolved = yaml.safe_load(accepted.stdout)["services"]
    assert set(resolved) == set(SERVICES)
    for worker in WORKERS:
        assert resolved[worker]["environment"]["RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"] == "kafka:19092"


def test_the_file_needs_no_version_and_pins_every_image() -> None:
    assert "version" not in COMPOSE
    for name, service in SERVICES.items():
        image, _, tag = service["image"].rpartition(":")
        assert image, f"{name} has no tag"
        if name not in OURS:
            assert re.search(r"\d+\.\d+\.\d+", tag), f"{name} is not pinned: {tag}"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_setting_in_compose_is_known(service: str) -> None:
    text = yaml.safe_dump(SERVICES[service])
    used = set(re.findall(r"RAGWHEEL_[A-Z0-9_]+", text))
    assert used <= known_variables()


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_has_what_it_needs_and_nothing_of_others(
    worker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = _environment(worker)
    own = {f"RAGWHEEL_{field.upper()}" for field in PROCESS_SETTINGS[worker].model_fields}
    given = {name for name in environment if name.startswith("RAGWHEEL_")}
    assert given <= own
    for name in given:
        monkeypatch.setenv(name, environment[name])
    settings = load(PROCESS_SETTINGS[worker])
    assert isinstance(settings, KafkaSettings)
    assert isinstance(settings, ClickHouseSettings)
    assert isinstance(settings, MetricsSettings)
    assert settings.kafka_bootstrap_servers == "kafka:19092"
    assert str(settings.clickhouse_url) == "http://clickhouse:8123/ragwheel"
    assert settings.metrics_host == "0.0.0.0", "Prometheus is in another container"  # noqa: S104


@pytest.mark.parametrize("service", OURS)
def test_a_default_in_compose_is_the_default_of_the_setting(service: str) -> None:
    defaults = {
        f"RAGWHEEL_{field.upper()}": info.get_default(call_default_factory=True)
        for settings in PROCESS_SETTINGS.values()
        for field, info in settings.model_fields.items()
    }
    for value in SERVICES[service]["environment"].values():
        for name, _, default in _VARIABLE.findall(value):
            if name.startswith("RAGWHEEL_") and default:  # empty means: the setting's own
                assert default == str(defaults[name]), name


def test_topics_and_tables_come_from_the_registry_before_any_worker_starts() -> None:
    # No list is kept here, so none can differ from the registry.
    for command in ("topics", "migrate"):
        assert SERVICES[command]["command"] == [command]
        for worker in WORKERS:
            condition = SERVICES[worker]["depends_on"][command]["condition"]
            assert condition == "service_completed_successfully"
    text = COMPOSE_FILE.read_text("utf-8")
    assert not [name for name in TOPICS if f"ragwheel.{name}" in text]
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.parametrize("service", OURS)
def test_the_command_of_a_service_exists(service: str) -> None:
    asked = [sys.executable, "-m", "ragwheel.cli", *SERVICES[service]["command"], "--help"]
    helped = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    assert helped.returncode == 0, helped.stderr


def test_dependencies_are_awaited_by_health_and_have_a_check() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert SERVICES[needed]["healthcheck"]["test"]
            else:
                assert how["condition"] == "service_completed_successfully"
                assert SERVICES[needed]["restart"] == "on-failure"


def test_the_health_of_whatever_keeps_running_is_checked() -> None:
    for name, service in SERVICES.items():
        if name in WORKERS:
            assert "healthcheck" not in service, "the image's own check asks for the metrics"
        elif service["restart"] == "on-failure":
            assert service["healthcheck"] == {"disable": True}, "a command that ends has none"
        else:
            assert service["healthcheck"]["test"], name


def test_prometheus_scrapes_every_worker_where_it_listens() -> None:
    config = yaml.safe_load((RULES_DIR.parent / "prometheus.yml").read_text("utf-8"))
    targets = {
        (job["job_name"], name, found["port"])
        for job in config["scrape_configs"]
        for found in job.get("dns_sd_configs", [])
        for name in found["names"]
    }
    listeners = {
        (worker, worker, int(_environment(worker)["RAGWHEEL_METRICS_PORT"])) for worker in WORKERS
    }
    assert targets == listeners


def test_mounted_files_exist_and_named_volumes_are_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_ports_are_published_on_loopback_only() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_no_secret_is_written_down_but_local_defaults() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|API_KEY|SECRET", name):
                assert _VARIABLE.fullmatch(value), f"{name} must come from the environment"


def test_compose_runs_the_kafka_that_the_local_stack_runs() -> None:
    lock = (ROOT / "infra/ragwheel/stack/kafka/kafka.lock").read_text("utf-8")
    found = re.search(r"org\.apache\.kafka:kafka_2\.13:(\d+\.\d+)\.\d+$", lock, re.MULTILINE)
    assert found
    assert SERVICES["kafka"]["image"].startswith(f"apache/kafka:{found[1]}.")


def test_the_image_is_locked_small_and_unprivileged() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", DOCKERFILE, re.MULTILINE)
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.findall(r"^COPY (.*)$", last, re.MULTILINE) == [
        "--from=build /opt/ragwheel /opt/ragwheel"
    ], "sources and build tools stay in the stages before"
    assert "://" not in DOCKERFILE.replace("http://127.0.0.1:", "")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    wanted = re.search(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    built = re.search(r"^ARG UV_VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert wanted
    assert built
    assert built[1] == wanted[1]


@pytest.mark.parametrize("service", OURS)
def test_the_image_of_a_service_can_be_built(service: str) -> None:
    build = SERVICES[service]["build"]
    assert (ROOT / build["dockerfile"]).is_file()
    extra = build["args"]["EXTRA"]
    lock = (ROOT / "requirements" / f"{extra}.txt").read_text("utf-8")
    assert "--hash=sha256:" in lock
    needed = "torch" if extra == "trainers" else "faust-streaming"
    assert re.search(rf"^{needed}==", lock, re.MULTILINE)


def test_what_an_image_copies_reaches_the_build_and_nothing_else() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    let_in = {line[1:].split("/*")[0] for line in ignore if line.startswith("!")}
    copied = set(PROJECT_FILES).union(["requirements"], *map(folders_of_image, IMAGES))
    assert copied == let_in
    for source in copied:
        assert (ROOT / source).exists(), source


def test_every_image_of_compose_is_one_whose_folders_are_chosen() -> None:
    extras = {SERVICES[service]["build"]["args"]["EXTRA"] for service in OURS}
    assert extras == set(IMAGES)
    for extra in extras:
        assert {"schemas", "cli"} < folders_of_image(extra)
