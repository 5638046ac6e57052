"""Rules of the repository that no single module can hold."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from tests.rigs.house import ROOT, SOURCES

_GROUND = {"schemas", "backends"}
_WORKERS = {"intake", "grading", "accounting", "trainers", "serving", "reembed"}
#: Arrows go down (R2 of docs/house.md): what each room may import besides itself.
MAY_IMPORT = {
    "schemas": set[str](),
    "measuring": set[str](),
    "observability": {"schemas"},
    "backends": {"schemas"},
    "client": _GROUND,
    "models": _GROUND,
    "intake": _GROUND,
    "grading": _GROUND,
    "accounting": _GROUND,
    "trainers": _GROUND | {"measuring", "models"},
    "serving": _GROUND | {"models"},
    "reembed": _GROUND | {"models", "measuring"},
    "operations": _GROUND | _WORKERS | {"measuring", "models"},
    "stack": _GROUND | {"grading", "models", "observability", "operations"},
    "demo": _GROUND | _WORKERS | {"client", "measuring", "models", "operations", "stack"},
    "cli": _GROUND | _WORKERS | {"client", "measuring", "models", "operations", "stack", "demo"},
}


def _ragwheel_imports(path: Path) -> set[str]:
    """Second components of every `ragwheel.x` that a file imports, lazily or not."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "ragwheel":
                names = [f"ragwheel.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("ragwheel.")}
    return found


def test_every_room_has_one_home_and_known_arrows() -> None:
    folders = [path.name for path in ROOT.glob("*/ragwheel/*") if path.is_dir()]
    assert sorted(folders) == sorted(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_imports_point_one_way(room: str) -> None:
    files = sorted(SOURCES[room].rglob("*.py"))
    assert files, f"{room} has no modules"
    allowed = MAY_IMPORT[room] | {room}
    wrong = {
        str(path.relative_to(ROOT)): sorted(_ragwheel_imports(path) - allowed)
        for path in files
        if _ragwheel_imports(path) - allowed
    }
    assert not wrong


def test_the_import_root_is_a_namespace_without_an_init_file() -> None:
    # An __init__.py in one folder would hide the packages of the other three.
    assert not list(ROOT.glob("*/ragwheel/__init__.py"))


def test_settings_are_read_in_one_place() -> None:
    # os.environ elsewhere is a setting that no document lists. Processes that start other
    # processes pass the environment on, which is not reading a setting.
    allowed = {"schemas/ragwheel/schemas/settings.py"}
    reads = re.compile(r"os\.getenv|os\.environ(?:\.get\(|\[)\s*[\"']RAGWHEEL_(?!CACHE_DIR|HOME)")
    wrong = [
        str(path.relative_to(ROOT))
        for folder in SOURCES.values()
        for path in folder.rglob("*.py")
        if str(path.relative_to(ROOT)) not in allowed and reads.search(path.read_text("utf-8"))
    ]
    assert not wrong


def _product_files(*without: str) -> list[Path]:
    return [
        path
        for room, folder in SOURCES.items()
        if room not in without
        for path in sorted(folder.rglob("*.py"))
    ]


def _catches(path: Path, name: str) -> bool:
    """Whether a file has an `except` for an exception of that name."""
    return any(
        isinstance(part, ast.Name) and part.id == name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type is not None
        for part in ast.walk(node.type)
    )


def test_there_is_one_durable_send() -> None:
    # A full queue is met by whoever produces. The client is left out: it drops, which is its
    # promise to the service, and must never be merged with a sender that waits.
    senders = [path for path in _product_files("client") if _catches(path, "BufferError")]
    assert senders == [SOURCES["backends"] / "publish.py"]


_MOVES = {"os.rename", "os.replace", "os.renames", "shutil.move", "tempfile.mkstemp"}


def _moves_files(path: Path) -> bool:
    """Whether a file renames files or makes temporary ones to rename.

    `Path.replace` and `Path.rename` take one positional argument; `str.replace` takes two, that of
    a date names its fields, and `dataclasses.replace` is called by its module or its bare name.
    """
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if _MOVES & {f"{node.module}.{alias.name}" for alias in node.names}:
                return True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            one = len(node.args) == 1 and not node.keywords
            if name in _MOVES or (node.func.attr in ("replace", "rename") and one):
                return True
    return False


def test_files_are_replaced_in_one_place() -> None:
    # A rename without fsync of file and folder is whole only until the power fails.
    movers = [path for path in _product_files() if _moves_files(path)]
    assert movers == [SOURCES["backends"] / "files.py"]


def test_workers_share_one_main() -> None:
    # What every worker shall do at its start or end is said once, and no worker forgets it.
    shared = re.compile(r"\.exit_code|signal\.signal\(|add_signal_handler\(|configure_logging\(")
    workers = [*sorted(_WORKERS), "backends"]
    found = [path for path in _product_files() if shared.search(path.read_text("utf-8"))]
    assert [path for path in found if any(path.is_relative_to(SOURCES[w]) for w in workers)] == [
        SOURCES["backends"] / "process.py",
        SOURCES["backends"] / "telemetry.py",  # defines configure_logging
    ]
    for path in _product_files():
        if path.name == "process.py" and path.parent.name in _WORKERS:
            assert "return process.main(" in path.read_text("utf-8"), path


def test_modules_stay_small_enough_to_hold_one_idea() -> None:
    """Events are one family and settings one list: both stay whole (docs/house.md)."""
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in SOURCES.values()
        for path in folder.rglob("*.py")
        if (lines := path.read_text("utf-8").count("\n"))
        > (600 if path.name in ("events.py", "settings.py") else 400)
    }
    assert not long


def test_every_runtime_requirement_is_locked_with_a_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {
        re.split(r"[\[<>=~! ]", requirement)[0].lower()
        for group in (project["dependencies"], *project["optional-dependencies"].values())
        for requirement in group
    } - {"ragwheel"}
    lock = (ROOT / "requirements/dev.txt").read_text("utf-8")
    locked = dict(
        re.findall(r"^([a-z0-9._-]+)==\S+.*?\n((?:    --hash.*\n?)*)", lock, re.MULTILINE)
    )
    assert wanted <= {name for name, hashes in locked.items() if "--hash=sha256:" in hashes}
    assert "://" not in lock, "a lock must not record addresses"


def test_ci_runs_the_command_of_the_readme() -> None:
    ci = (ROOT / ".ci/run").read_text("utf-8")
    assert re.search(r"^exec make test$", ci, re.MULTILINE)
    assert "make test" in (ROOT / "README.md").read_text("utf-8")
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_make_help_describes_every_target() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert phony
    for target in phony[1].replace("\\\n", " ").split():
        assert f"make {target} " in shown


def test_tests_of_a_file_stay_on_one_worker(request: pytest.FixtureRequest) -> None:
    # What they share is costly to make; pytest-xdist keeps groups together by this ending.
    spread_out = hasattr(request.config, "workerinput")
    assert request.node.nodeid.endswith("@tests/unit/house/test_repository.py") == spread_out
