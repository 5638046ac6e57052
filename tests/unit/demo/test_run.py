"""However a run ends: its status tells, its report and logs stay, the rest is cleaned up."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest
from tests.unit.demo.demo_results import result

from ragwheel.demo import run as demo
from ragwheel.demo.options import DemoOptions
from ragwheel.demo.outcome import DemoResult
from ragwheel.demo.terminal import Terminal
from ragwheel.demo.waiting import DemoFailedError
from ragwheel.schemas.errors import ConfigError
from ragwheel.stack.processes import ProcessFailedError


def play(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    outcome: DemoResult | BaseException,
    *,
    keep: bool = False,
) -> tuple[int, str, Path]:
    """Run with a turn that leaves files and then ends with `outcome`."""
    homes: list[Path] = []

    class Turn:
        def __init__(self, options: DemoOptions, home: Path, terminal: Terminal) -> None:
            homes.append(home)
            self._terminal = terminal

        def play(self) -> DemoResult:
            for name in ("logs/intake.log", "kafka/log", "models/m/weights", "gold.json"):
                path = homes[0] / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("x")
            with self._terminal.step("corpus"):
                self._terminal.done("a step")
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

    monkeypatch.setattr(demo, "Turn", Turn)
    out = io.StringIO()
    status = demo.run(DemoOptions(home=tmp_path, keep=keep), out)
    return status, out.getvalue(), homes[0]


def left(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir())


def test_a_good_run_ends_with_the_table_the_report_and_status_0(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, text, home = play(monkeypatch, tmp_path, result())

    assert status == 0
    assert "Verdict: promoted." in text
    assert f"Report: {home / 'report.html'}" in text
    assert left(home) == ["logs", "report.html", "result.json"]


def test_steps_of_the_run_are_in_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, _, home = play(monkeypatch, tmp_path, result())

    assert ">corpus</span>" in (home / "report.html").read_text()


def test_the_result_is_kept_for_programs_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, _, home = play(monkeypatch, tmp_path, result())

    kept = orjson.loads((home / "result.json").read_bytes())
    assert kept["verdict"]["action"] == "promoted"
    assert kept["accounts"][0]["unaccounted"] == 0
    assert kept["labels"][0]["by_grade"]["3"] == 2_500


def test_a_run_whose_figures_do_not_fit_ends_with_status_1_and_a_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, text, home = play(monkeypatch, tmp_path, result(("labels: 3 are unaccounted for",)))

    assert status == 1
    assert "✗ labels: 3 are unaccounted for" in text
    assert left(home) == ["logs", "report.html", "result.json"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DemoFailedError("all labels: not there after 30 s. Look there."), 1),
        (ProcessFailedError("kafka ended with exit status 3"), 1),
        (ConfigError("RAGWHEEL_SAMPLE_RATE: 7 is too much"), 78),
    ],
)
def test_a_failed_step_says_what_to_do_and_keeps_the_logs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, status: int
) -> None:
    found, text, home = play(monkeypatch, tmp_path, error)

    assert found == status
    assert str(error) in text
    assert str(home / "logs") in text
    assert "Traceback" not in text
    assert left(home) == ["logs"]


def test_ctrl_c_ends_with_status_130_and_without_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, text, home = play(monkeypatch, tmp_path, KeyboardInterrupt())

    assert status == 130
    assert "Interrupted; every process was stopped." in text
    assert left(home) == ["logs"]


def test_keeping_keeps_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, _, home = play(monkeypatch, tmp_path, result(), keep=True)

    assert left(home) == ["gold.json", "kafka", "logs", "models", "report.html", "result.json"]


def test_two_runs_have_folders_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, _, one = play(monkeypatch, tmp_path, result())

    assert one.parent == tmp_path
    assert one.name.startswith("demo-")
    with pytest.raises(FileExistsError):
        one.mkdir()
