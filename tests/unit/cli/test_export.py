"""`ragwheel export`: which snapshots there are, what was written, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.unit.cli.json_schema import check
from tests.unit.operations.exports.test_exports import SNAPSHOT

from ragwheel.cli.main import main
from ragwheel.cli.reference import JSON_DIR
from ragwheel.trainers.data import folder


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model directory with one snapshot."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGWHEEL_MODEL_DIR", str(tmp_path / "models"))
    folder.write(SNAPSHOT, tmp_path / "models" / folder.SNAPSHOTS)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(capsys.readouterr().out)
    schema = orjson.loads((JSON_DIR / "export.schema.json").read_bytes())
    check(found, schema, schema)
    return found


def test_snapshots_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--list"]) == 0
    assert SNAPSHOT.snapshot_id in capsys.readouterr().out
    assert main(["export", "--list", "--json"]) == 0
    [line] = printed(capsys)["snapshots"]
    assert (line["snapshot_id"], line["queries"]) == (SNAPSHOT.snapshot_id, 25)


def test_a_snapshot_is_written_by_the_beginning_of_its_id(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["export", "--snapshot", SNAPSHOT.snapshot_id[:5], "--to", "data", "--format", "trec"]
    assert main([*asked, "--json"]) == 0
    assert printed(capsys)["format"] == "trec"
    assert (models / "data" / "qrels.test.txt").exists()
    assert main(asked) == 1
    assert "name a new or empty folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        ([], 78, "--snapshot ID --to DIR, or --list"),
        (["--snapshot", "x"], 78, "--snapshot ID --to DIR, or --list"),
        (["--snapshot", "nothing", "--to", "data"], 1, "no snapshot is called 'nothing'"),
        (["--snapshot", "x", "--to", "data", "--format", "csv"], 2, "csv"),
    ],
)
def test_what_cannot_be_done_is_said(
    typed: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *typed]) == status
    assert said in capsys.readouterr().err


def test_without_a_snapshot_the_list_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAGWHEEL_MODEL_DIR", "elsewhere")
    assert main(["export", "--list"]) == 0
    assert "no snapshot in elsewhere" in capsys.readouterr().out
