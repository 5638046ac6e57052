"""Nothing that others publish runs here without being named exactly."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.rigs.house import ROOT
from tests.rigs.packaging import DOCKERFILE, IMAGES

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
IMAGES_YML = (ROOT / ".github/workflows/images.yml").read_text("utf-8")
RENOVATE = json.loads((ROOT / ".github/renovate.json").read_text("utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_pinned_by_commit_and_says_its_version(path: Path) -> None:
    text = path.read_text("utf-8")
    used = re.findall(r"uses: (.*)$", text, re.MULTILINE)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_every_job_ends(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert "permissions" in workflow
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        assert job["runs-on"] == "ubuntu-24.04"


def test_one_action_has_one_version_in_all_workflows() -> None:
    used = {
        action
        for path in WORKFLOWS
        for action in re.findall(r"uses: (.*)$", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(used) == len({action.partition("@")[0] for action in used})


def test_every_image_is_built_scanned_listed_and_signed() -> None:
    jobs = yaml.safe_load(IMAGES_YML)["jobs"]
    assert set(jobs["image"]["strategy"]["matrix"]["extra"]) == set(IMAGES)
    steps = " ".join(str(step.get("run", "")) for step in jobs["image"]["steps"])
    for part in ("docker build", "$SYFT", "$GRYPE", "--fail-on high"):
        assert part in steps
    released = jobs["release"]["strategy"]["matrix"]["include"]
    assert {each["extra"] for each in released} == set(IMAGES)
    assert "cosign sign" in IMAGES_YML
    assert "docker compose up" in str(jobs["compose"])


def test_renovate_finds_the_tools_of_workflows_and_the_base_image() -> None:
    tools, base = (
        manager["matchStrings"][0].replace("(?<", "(?P<") for manager in RENOVATE["customManagers"]
    )
    found = {match["depName"] for match in re.finditer(tools, IMAGES_YML)}
    assert found == {"anchore/syft", "anchore/grype"}
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert {match["currentValue"] for match in re.finditer(base, compose)} == set(
        re.findall(r"^ARG PYTHON_IMAGE=python:([^@\s]+)", DOCKERFILE, re.MULTILINE)
    )


def _checkout(folder: Path, answer: str) -> dict[str, str]:
    """A tree with what the script changes, and a `docker` that answers so."""
    for name in ("docker-compose.yml", "infra/docker/Dockerfile", "infra/docker/pin-images.sh"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "bin").mkdir()
    (folder / "bin/docker").write_text(f'#!/bin/sh\necho "{answer}"\n')
    (folder / "bin/docker").chmod(0o755)
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def _pin(folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = str(folder / "infra/docker/pin-images.sh")
    return subprocess.run(["sh", script], capture_output=True, text=True, env=env, check=False)


def test_pinning_gives_every_image_its_digest_and_changes_nothing_else(tmp_path: Path) -> None:
    digest = "sha256:" + "ab" * 32
    env = _checkout(tmp_path, digest)
    assert _pin(tmp_path, env).returncode == 0
    text = (tmp_path / "docker-compose.yml").read_text("utf-8")
    images = re.findall(r"_IMAGE:-([^}]+)\}", text)
    assert len(images) > 7
    assert all(image.endswith(f"@{digest}") for image in images)
    dockerfile = (tmp_path / "infra/docker/Dockerfile").read_text("utf-8")
    assert re.search(rf"^ARG PYTHON_IMAGE=python:\S+@{digest}$", dockerfile, re.MULTILINE)
    unpinned = re.compile(r"@sha256:[0-9a-f]{64}")
    before = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert unpinned.sub("", text) == unpinned.sub("", before)
    assert _pin(tmp_path, env).returncode == 0
    assert (tmp_path / "docker-compose.yml").read_text("utf-8") == text, "twice is once"


def test_pinning_stops_at_an_image_without_a_digest(tmp_path: Path) -> None:
    stopped = _pin(tmp_path, _checkout(tmp_path, "not found"))
    assert stopped.returncode != 0
    assert "has no digest: not found" in stopped.stderr


def test_a_vulnerability_can_be_reported_and_the_page_is_linked() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "Report a vulnerability" in text
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text("utf-8")
