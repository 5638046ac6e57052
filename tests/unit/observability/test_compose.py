"""docker-compose.yml and the image: accepted by compose, in step with settings, topics, metrics."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.rigs.packaging import DOCKERFILE, IMAGES, PROJECT_FILES, folders_of_image
from tests.unit.observability.promql import ROOT, RULES_DIR

from ragwheel.grading import cost
from ragwheel.schemas.environment import (
    COMPOSE_SERVICES,
    DEFAULTS_OF_COMPOSE,
    FIXED_BY_COMPOSE,
    REQUIRED_BY_COMPOSE,
)
from ragwheel.schemas.loading import known_variables, load
from ragwheel.schemas.settings import (
    PROCESS_SETTINGS,
    ClickHouseSettings,
    GraderSettings,
    KafkaSettings,
    MetricsSettings,
)
from ragwheel.schemas.topics import TOPICS

COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ("intake", "accounts", "grader", "trainer", "server")
OURS = (*WORKERS, "topics", "migrate")
ENV_EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
HANDED_ON: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "infra/docker/settings.yml").read_text("utf-8")
)["services"]
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(:?[-?+])?([^}]*)\}")
#: The least that a person must say.
GIVEN = dict.fromkeys(REQUIRED_BY_COMPOSE, "s3cret")


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
    """What the containers of a service see when the host sets nothing but what it must."""
    given = SERVICES[service].get("environment", {})
    return {
        name: _VARIABLE.sub(lambda found: GIVEN.get(found[1], found[3]), value)
        for name, value in given.items()
    }


def _config(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What compose makes of the file with these variables and no others."""
    return subprocess.run(
        [*_compose_command(), "--file", str(COMPOSE_FILE), *options, "config"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables},
    )


def _resolved(*options: str, **variables: str) -> dict[str, Any]:
    accepted = _config(*options, **variables)
    assert accepted.returncode == 0, accepted.stderr
    assert "variable is not set" not in accepted.stderr, "every other variable has a default"
    services = yaml.safe_load(accepted.stdout)["services"]
    assert isinstance(services, dict)
    return services


def test_compose_accepts_the_file_with_nothing_set_but_the_passwords() -> None:
    resolved = _resolved(**GIVEN)
    every = _resolved("--profile", "exporters", **GIVEN)
    assert set(every) == set(SERVICES)
    assert {name for name, each in SERVICES.items() if "profiles" not in each} <= set(resolved)
    for worker in WORKERS:
        assert resolved[worker]["environment"]["RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"] == "kafka:19092"
    with_gpu = _resolved("--file", str(ROOT / "infra/docker/gpu.yml"), **GIVEN)
    assert with_gpu["trainer"]["build"]["args"]["TORCH_BACKEND"] == "cuda"
    assert "gpu" in str(with_gpu["trainer"]["deploy"]["resources"]["reservations"])


@pytest.mark.parametrize("missing", REQUIRED_BY_COMPOSE)
def test_compose_refuses_to_start_without_a_password_and_says_where_to_set_it(missing: str) -> None:
    refused = _config(**{name: value for name, value in GIVEN.items() if name != missing})
    assert refused.returncode != 0
    assert "copy .env.example to .env" in refused.stderr
    assert re.search(rf"^{missing}=$", ENV_EXAMPLE, re.MULTILINE)


def test_a_password_of_any_characters_reaches_both_sides_as_it_is() -> None:
    odd = "p/a#s@s%w:o r?d'&=~"
    resolved = _resolved(**(GIVEN | {"RAGWHEEL_CLICKHOUSE_PASSWORD": odd}))
    assert resolved["clickhouse"]["environment"]["CLICKHOUSE_PASSWORD"] == odd
    for service in ("migrate", *WORKERS):
        environment = resolved[service]["environment"]
        assert environment["RAGWHEEL_CLICKHOUSE_PASSWORD"] == odd
        assert "s3cret" not in environment["RAGWHEEL_CLICKHOUSE_URL"]
        assert odd not in environment["RAGWHEEL_CLICKHOUSE_URL"]


@pytest.mark.parametrize("service", OURS)
def test_every_setting_of_a_process_reaches_its_container(service: str) -> None:
    reads = {f"RAGWHEEL_{field.upper()}" for field in COMPOSE_SERVICES[service].model_fields}
    assert set(HANDED_ON[service]["environment"]) == reads, "run `make docs`"
    assert not any(HANDED_ON[service]["environment"].values()), "values are a person's"
    assert SERVICES[service]["extends"] == {
        "file": "infra/docker/settings.yml",
        "service": service,
    }
    free = sorted(reads - FIXED_BY_COMPOSE)
    resolved = _resolved(**(GIVEN | {name: f"value of {name}" for name in free}))
    environment = resolved[service]["environment"]
    assert {name: environment[name] for name in free} == {name: f"value of {name}" for name in free}


def test_the_example_lists_every_variable_of_compose_and_nothing_else() -> None:
    listed = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", ENV_EXAMPLE, re.MULTILINE))
    used = {name for name, *_ in _VARIABLE.findall(COMPOSE_FILE.read_text("utf-8"))}
    used |= {name for each in HANDED_ON.values() for name in each["environment"]}
    assert listed == used - FIXED_BY_COMPOSE
    for name, _, default in _VARIABLE.findall(COMPOSE_FILE.read_text("utf-8")):
        written = re.findall(rf"^#{name}=(.*)$", ENV_EXAMPLE, re.MULTILINE)
        assert name in REQUIRED_BY_COMPOSE or written in ([default], [""]), name


def test_what_compose_decides_itself_is_left_to_nobody_else() -> None:
    literal = {
        name
        for service in OURS
        for name, value in SERVICES[service]["environment"].items()
        if name.startswith("RAGWHEEL_") and not _VARIABLE.search(value)
    }
    assert literal == FIXED_BY_COMPOSE


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_can_neither_take_the_host_down_nor_gain_privileges(service: str) -> None:
    each = SERVICES[service]
    for limit in ("mem_limit", "cpus", "pids_limit"):
        assert each[limit], limit
    assert each["cap_drop"] == ["ALL"]
    assert each["security_opt"] == ["no-new-privileges:true"]
    assert not each.get("privileged")
    # Their entry points write where no volume is; the file says what and where.
    assert each.get("read_only", False) == (service not in ("kafka", "clickhouse"))
    if "cap_add" in each:
        assert service == "clickhouse"


@pytest.mark.parametrize("service", OURS)
def test_an_image_of_ours_is_built_from_these_sources(service: str) -> None:
    assert SERVICES[service]["pull_policy"] == "build"


def test_no_budget_is_no_default() -> None:
    default = _environment("grader")["RAGWHEEL_DAILY_BUDGET_USD"]
    assert 0 < float(default) <= 10
    prices = cost.load_prices()
    for model in (GraderSettings().llm_model, GraderSettings().judge_model):
        assert cost.price_of(model, prices, float(default)), "a budget needs prices"


def test_the_file_needs_no_version_and_pins_every_image() -> None:
    assert "version" not in COMPOSE
    for name, service in SERVICES.items():
        if name in OURS:
            assert ":" in service["image"]
            continue
        pinned = _VARIABLE.fullmatch(service["image"])
        assert pinned, f"{name}: another image can be named, by digest or of a mirror"
        assert pinned[1] == f"{name.upper().replace('-', '_')}_IMAGE"
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+[.\d]*(@sha256:[0-9a-f]{64})?", pinned[3]), (
            name
        )


def test_the_base_image_is_named_alike_wherever_it_is_named() -> None:
    (built,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    named = {SERVICES[service]["build"]["args"]["PYTHON_IMAGE"] for service in OURS}
    assert named == {f"${{PYTHON_IMAGE:-{built}}}"}


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
    assert settings.clickhouse_user == "ragwheel"
    assert settings.clickhouse_password.get_secret_value() == "s3cret"
    assert settings.metrics_host == "0.0.0.0", "Prometheus is in another container"  # noqa: S104


@pytest.mark.parametrize("service", OURS)
def test_a_default_of_compose_is_one_that_the_example_tells(service: str) -> None:
    for value in SERVICES[service]["environment"].values():
        for name, how, default in _VARIABLE.findall(value):
            if name.startswith("RAGWHEEL_") and how == ":-":
                assert default == DEFAULTS_OF_COMPOSE[name]


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
        if name in WORKERS and name != "server":
            assert "healthcheck" not in service, "the image's own check asks for the metrics"
        elif service["restart"] == "on-failure":
            assert service["healthcheck"] == {"disable": True}, "a command that ends has none"
        else:
            assert service["healthcheck"]["test"], name


#: Job → port of what is not ours: each serves metrics of its own there.
OTHERS = {"alertmanager": 9093, "clickhouse": 9363, "kafka-exporter": 9308, "node-exporter": 9100}


def test_prometheus_scrapes_every_worker_and_store_where_it_listens() -> None:
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
    assert targets == listeners | {(name, name, port) for name, port in OTHERS.items()}
    assert set(OTHERS) < set(SERVICES)
    (alerting,) = config["alerting"]["alertmanagers"]
    assert alerting["dns_sd_configs"][0]["names"] == ["alertmanager"]
    clickhouse = (ROOT / "infra/docker/clickhouse.xml").read_text("utf-8")
    assert f"<port>{OTHERS['clickhouse']}</port>" in clickhouse


def test_mounted_files_exist_and_named_volumes_are_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source == "/":
                assert volume.endswith(":ro,rslave"), "the host's disks are looked at only"
            elif source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_ports_are_published_on_loopback_only() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_no_secret_is_written_down() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|API_KEY|SECRET", name):
                given = _VARIABLE.fullmatch(value)
                assert given, f"{name} must come from the environment"
                assert given[2] == ":?" or not given[3], f"{name} has a default that all know"


def test_compose_runs_the_kafka_that_the_local_stack_runs() -> None:
    lock = (ROOT / "infra/ragwheel/stack/kafka/kafka.lock").read_text("utf-8")
    found = re.search(r"org\.apache\.kafka:kafka_2\.13:(\d+\.\d+)\.\d+$", lock, re.MULTILINE)
    assert found
    assert f":-apache/kafka:{found[1]}." in SERVICES["kafka"]["image"]


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
    needed = "faust-streaming" if extra == "streams" else "torch"
    assert re.search(rf"^{needed}==", lock, re.MULTILINE)


def _installs(extra: str, torch_backend: str, folder: Path) -> tuple[list[str], set[str]]:
    """The calls of uv that install the lock in the image, and the packages of the lock in use."""
    (step,) = re.findall(r"^RUN (set -eu; lock=(?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    (folder / "requirements").symlink_to(ROOT / "requirements")
    (folder / "uv").write_text('#!/bin/sh\necho "$@"\n')
    (folder / "uv").chmod(0o755)
    ran = subprocess.run(
        ["sh", "-c", step],
        cwd=folder,
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "EXTRA": extra,
            "TORCH_BACKEND": torch_backend,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    calls = ran.stdout.splitlines()
    lock = (folder / calls[-1].split()[-1]).read_text("utf-8")
    assert all("--hash=" in entry for entry in re.split(r"\n(?=[a-z])", lock)[1:])
    return calls, set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE))


@pytest.mark.parametrize(
    ("extra", "backend"), [("streams", "cpu"), ("streams", "cuda"), ("trainers", "cuda")]
)
def test_an_image_takes_the_whole_lock_with_its_hashes(
    extra: str, backend: str, tmp_path: Path
) -> None:
    (call,), names = _installs(extra, backend, tmp_path)
    assert "--require-hashes" in call
    assert names == set(
        re.findall(
            r"^([a-z0-9._-]+)==",
            (ROOT / "requirements" / f"{extra}.txt").read_text("utf-8"),
            re.MULTILINE,
        )
    )


def test_without_cuda_torch_alone_comes_from_elsewhere_in_the_locked_version(
    tmp_path: Path,
) -> None:
    (torch, rest), names = _installs("trainers", "cpu", tmp_path)
    lock = (ROOT / "requirements/trainers.txt").read_text("utf-8")
    locked = set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE))
    cuda = {name for name in locked if name.startswith(("nvidia-", "cuda-"))}
    assert locked - names == cuda | {"torch", "triton"}
    (version,) = re.findall(r"^(torch==\S+)", lock, re.MULTILINE)
    assert torch.endswith(f"--torch-backend cpu {version}")
    assert "--no-deps" in torch
    assert "--require-hashes" in rest


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
