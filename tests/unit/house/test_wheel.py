"""What is shipped: everything that the rooms hold, by whichever way the wheel is built."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.rigs.packaging import ROOT, built


def _contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Name in the wheel of this tree → content."""
    return _contents(built(ROOT, tmp_path_factory.mktemp("wheel")))


def test_a_wheel_holds_every_file_of_every_room_and_nothing_else(wheel: dict[str, bytes]) -> None:
    rooms = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for folder in ROOT.iterdir()
        for path in folder.glob("ragwheel/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = {name for name in wheel if name.split("/")[0].endswith(".dist-info")}
    assert {Path(name).name for name in info} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "LICENSE",
    }  # fmt: skip
    assert sorted(wheel.keys() - info) == sorted(rooms)
    assert [name for name in rooms if wheel[name] != rooms[name]] == []


@pytest.mark.parametrize(
    "kind",
    ["observability/rules/*.yml", "observability/dashboards/*.json", "observability/*.yml",
     "observability/provisioning/*/*.yml", "observability/alertmanager/*.sh",
     "grading/asking/rubrics/*.toml", "grading/*.toml",
     "schemas/migrations/*.sql", "schemas/json/*.json", "schemas/examples/*/*/*.json",
     "trainers/data/sql/*.sql", "demo/library.toml",
     "stack/kafka/*.lock", "stack/kafka/*.properties", "demo/report/*.css", "*/py.typed"],
)  # fmt: skip
def test_what_a_process_reads_beside_its_code_is_in_the_wheel(
    wheel: dict[str, bytes], kind: str
) -> None:
    assert any(Path(name).match(f"ragwheel/{kind}") for name in wheel)


def test_the_source_distribution_builds_the_same_wheel(
    wheel: dict[str, bytes], tmp_path: Path
) -> None:
    with tarfile.open(built(ROOT, tmp_path, "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    again = _contents(built(unpacked, tmp_path))
    assert sorted(again) == sorted(wheel)
    assert [name for name in wheel if wheel[name] != again[name]] == []
