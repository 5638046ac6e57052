"""The wheel in a clean environment, started from another directory, as somebody installs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.rigs.packaging import (
    IMAGES,
    PROJECT_FILES,
    ROOT,
    bare_environment,
    built,
    folders_of_image,
    installed,
)
from tests.rigs.panels import Prometheus, require_prometheus

from ragwheel.operations.running import running_state
from ragwheel.operations.workers import KINDS
from ragwheel.schemas.errors import DependencyError, UnavailableError

pytestmark = [pytest.mark.integration, pytest.mark.slow]

#: Longest that a stack may take to start or to end on a busy machine, seconds.
START_S = 120.0
STOP_S = 60.0
_NOBODY = {
    "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "RAGWHEEL_CLICKHOUSE_URL": "http://default:@127.0.0.1:1/ragwheel",
}


def _ran(program: Path, *argv: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *argv],
        cwd=cwd,
        env=bare_environment() | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment with the wheel of the whole tree and everything it can use."""
    wheel = built(ROOT, tmp_path_factory.mktemp("wheel"))
    return installed(wheel, "all", tmp_path_factory.mktemp("installed") / "venv")


def test_the_installed_package_is_the_wheel_and_not_this_checkout(
    programs: Path, tmp_path: Path
) -> None:
    code = "import ragwheel.schemas, ragwheel.observability as o; print(o.__file__)"
    found = _ran(programs / "python", "-c", code, cwd=tmp_path)
    assert found.stdout.startswith(str(programs.parent)), found.stderr


def test_the_doctor_finds_a_wheel_with_its_locked_packages_healthy(
    programs: Path, tmp_path: Path
) -> None:
    examined = _ran(programs / "ragwheel", "doctor", "--quick", cwd=tmp_path)
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "0 failures" in examined.stdout


def test_a_stack_from_the_wheel_evaluates_our_rules_and_ends_when_told(
    programs: Path, tmp_path: Path
) -> None:
    require_prometheus()
    output = tmp_path / "output.txt"
    with output.open("wb") as file:
        stack = subprocess.Popen(
            [programs / "ragwheel", "up", "--prometheus", "--home", tmp_path / "home"],
            cwd=tmp_path,
            env=bare_environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        groups = _evaluated_rules(tmp_path / "home", stack, output)
        stack.send_signal(signal.SIGTERM)
        assert stack.wait(STOP_S) in (0, 128 + signal.SIGTERM), output.read_text("utf-8")
    finally:
        if stack.poll() is None:
            stack.kill()  # its guardian ends what it started
            stack.wait()
    (site,) = programs.parent.glob("lib/python*/site-packages")
    shipped = set((site / "ragwheel/observability/rules").glob("*.rules.yml"))
    assert {Path(group["file"]) for group in groups} == shipped
    assert sum(len(group["rules"]) for group in groups) > 20
    assert [rule for group in groups for rule in group["rules"] if rule["health"] != "ok"] == []


def _evaluated_rules(
    home: Path, stack: subprocess.Popen[bytes], output: Path
) -> list[dict[str, Any]]:
    """The groups of rules of the stack's Prometheus once each was evaluated."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and stack.poll() is None:
        state = running_state(home)
        process = state.process("prometheus") if state else None
        groups = Prometheus(process.address).rule_groups() if process else []
        if groups and all(
            rule["health"] != "unknown" for group in groups for rule in group["rules"]
        ):
            return groups
        time.sleep(0.5)
    pytest.fail(f"no evaluated rules within {START_S:g} s:\n{output.read_text('utf-8')}")


@pytest.fixture(scope="module", params=IMAGES)
def image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """An extra and the programs of its image: its folders alone, with its locked packages."""
    extra: str = request.param
    source = tmp_path_factory.mktemp(extra)
    for name in PROJECT_FILES:
        shutil.copy(ROOT / name, source)
    for name in folders_of_image(extra):
        shutil.copytree(ROOT / name, source / name)
    wheel = built(source, source / "dist")
    return extra, installed(wheel, extra, source / "venv")


def test_an_image_can_import_its_workers(image: tuple[str, Path], tmp_path: Path) -> None:
    extra, programs = image
    workers = [kind.module for kind in KINDS.values() if kind.extra == extra]
    code = f"import {', '.join(f'{module}.__main__' for module in workers)}"
    imported = _ran(programs / "python", "-c", code, cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr


def test_every_command_of_an_image_gets_as_far_as_the_broker_or_database(
    image: tuple[str, Path], tmp_path: Path
) -> None:
    extra, programs = image
    # The server needs neither broker nor database to start: it would run.
    arguments = {"emit": ["--file", os.devnull], "worker": ["--help"], "serve": ["--help"]}

    def tried(command: str) -> subprocess.CompletedProcess[str]:
        argv = [command, *arguments.get(command, [])]
        return _ran(programs / "ragwheel", *argv, cwd=tmp_path, **_NOBODY)

    with ThreadPoolExecutor() as pool:  # they wait for seconds before they give up
        for ran in pool.map(tried, IMAGES[extra]):
            assert ran.returncode in (0, UnavailableError.exit_code), f"{ran.args}: {ran.stderr}"
            assert "Traceback" not in ran.stderr


def test_a_command_that_an_image_is_not_for_names_the_extra_that_has_it(
    image: tuple[str, Path], tmp_path: Path
) -> None:
    extra, programs = image
    foreign = {
        "streams": ["up", "demo", "train", "serve"],
        "trainers": ["up", "demo", "status", "serve", "rubric", "grade --file -"],
        "serving": ["up", "demo", "status", "train", "rubric", "grade --file -"],
    }
    for command in foreign[extra]:
        ran = _ran(programs / "ragwheel", *command.split(), cwd=tmp_path, **_NOBODY)
        assert ran.returncode == DependencyError.exit_code, ran.stderr
        assert "pip install 'ragwheel[" in ran.stderr


def test_the_doctor_examines_an_image(image: tuple[str, Path], tmp_path: Path) -> None:
    _, programs = image
    examined = _ran(programs / "ragwheel", "doctor", "--quick", cwd=tmp_path, **_NOBODY)
    assert examined.stdout.splitlines()[-1].endswith("failures"), examined.stderr
