"""Builds wheels offline and installs them where nothing of this checkout can be seen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "infra/docker/Dockerfile").read_text("utf-8")
#: What a build reads besides the rooms.
PROJECT_FILES = ("pyproject.toml", "README.md", "LICENSE")
#: Extra → the commands that its image is for.
IMAGES = {
    "streams": ("worker", "topics", "migrate", "status", "emit", "replay", "version"),
    "trainers": ("worker", "topics", "migrate", "train", "models", "emit", "version"),
    "serving": ("worker", "serve", "version"),
}


def folders_of_image(extra: str) -> set[str]:
    """Folders that the Dockerfile copies for `extra`: its stage, and those that it builds on."""
    stages = {
        stage: (parent, re.findall(r"^COPY (.+) \S+$", body, re.MULTILINE))
        for parent, stage, body in re.findall(
            r"^FROM (\S+) AS (\S+)\n((?:(?!FROM ).*\n)*)", DOCKERFILE, re.MULTILINE
        )
    }
    found: set[str] = set()
    stage = f"sources-{extra}"
    while stage in stages:
        stage, copies = stages[stage]
        found.update(source for sources in copies for source in sources.split())
    return found - set(PROJECT_FILES)


def built(source: Path, out: Path, target: str = "wheel") -> Path:
    """The `wheel` or `sdist` that the build backend makes of the tree at `source`."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (made,) = out.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


def installed(wheel: Path, extra: str, folder: Path) -> Path:
    """The programs' folder of a new environment: `wheel` and the packages locked for `extra`.

    The packages are links to this environment's, so that it takes seconds and no network. That
    they are all that the extra requires is what the installer checks.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    (site,) = folder.glob("lib/python*/site-packages")
    _link_locked(ROOT / "requirements" / f"{extra}.txt", site)
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-index",
         "--python", str(programs / "python"), f"{wheel}[{extra}]"],
        check=True,
    )  # fmt: skip
    return programs


def bare_environment() -> dict[str, str]:
    """The environment without the developer's settings and import path."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in {"RAGWHEEL_CACHE_DIR", "RAGWHEEL_CI"}
        or not name.startswith(("RAGWHEEL_", "PYTHON", "VIRTUAL_ENV"))
    }


def _link_locked(lock: Path, site: Path) -> None:
    locked = set(re.findall(r"^([a-z0-9._-]+)==", lock.read_text("utf-8"), re.MULTILINE))
    for package in distributions():
        if re.sub(r"[-_.]+", "-", package.name).lower() not in locked:
            continue
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            origin = Path(str(package.locate_file(top))).resolve()
            if top.endswith(".dist-info"):  # the installer does not follow links to these
                shutil.copytree(origin, site / top)
            elif not (site / top).exists():
                (site / top).symlink_to(origin)
