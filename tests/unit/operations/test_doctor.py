"""What the doctor says about a machine."""

from __future__ import annotations

import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from ragwheel.grading.endpoint.memory import LearntShape, remember
from ragwheel.grading.endpoint.request import RequestShape
from ragwheel.operations import extras
from ragwheel.operations.doctor import checks, machine, runtimes, services
from ragwheel.schemas.errors import DependencyError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings, GraderSettings, KafkaSettings
from ragwheel.stack.composition import DEMO_GRADER_MODEL

ROOT = Path(__file__).parents[3]
NOBODY = "127.0.0.1:1"


def test_an_old_python_fails_with_the_way_to_repair_it() -> None:
    assert machine.python((3, 10, 9)).level == "fail"
    assert "3.11" in machine.python((3, 10, 9)).fix
    assert machine.python((3, 11, 0)).level == "ok"


@pytest.mark.parametrize(("gib", "level"), [(16.0, "ok"), (3.0, "warn"), (1.0, "fail")])
def test_little_memory_is_told(monkeypatch: pytest.MonkeyPatch, gib: float, level: str) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: int(gib * 1024**3))
    finding = machine.memory()
    assert finding.level == level
    assert bool(finding.fix) == (level != "ok")


def test_memory_is_measured_here() -> None:
    assert machine.available_memory() > 2**20


def test_the_disk_of_a_home_that_does_not_exist_yet_is_its_parents(tmp_path: Path) -> None:
    assert str(tmp_path / "a/b/c") in machine.disk(tmp_path / "a/b/c").detail


def test_a_missing_program_is_a_warning_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    finding = machine.program("promtool", "rules are not tested", "apt install prometheus")
    assert (finding.level, finding.fix) == ("warn", "apt install prometheus")


def test_an_extra_that_is_absent_is_a_warning_and_one_in_part_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = runtimes.own_packages("streams")
    assert "clickhouse-connect" not in own  # [trainers] brings it too
    monkeypatch.setattr(runtimes, "missing_packages", lambda extra: sorted(own))
    assert runtimes.packages("streams").level == "warn"
    monkeypatch.setattr(runtimes, "missing_packages", lambda extra: ["openai"])
    finding = runtimes.packages("streams")
    assert (finding.level, finding.fix) == ("fail", "pip install 'ragwheel[streams]'")
    monkeypatch.setattr(runtimes, "missing_packages", lambda extra: [])
    assert runtimes.packages("streams").level == "ok"


def test_a_missing_extra_is_one_line_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda module: module != "torch")
    extras.require_extra("streams", "local")
    with pytest.raises(
        DependencyError, match=r"^torch is not .*pip install 'ragwheel\[trainers\]'"
    ):
        extras.require_extra("streams", "trainers")


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for extra, packages in extras.EXTRAS.items():
        declared = " ".join(project["optional-dependencies"][extra])
        for package in packages:
            assert package in declared
            assert extras.is_installed(extras.module_of(package))


def test_a_module_that_replaced_itself_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "odd_module", ModuleType("odd_module"))
    assert sys.modules["odd_module"].__spec__ is None  # find_spec would raise
    assert extras.is_installed("odd_module")
    assert not extras.is_installed("no_such_module")


def test_an_address_that_nobody_set_is_a_warning_and_a_dead_one_a_failure() -> None:
    broker = load(KafkaSettings, kafka_bootstrap_servers=NOBODY)
    database = load(ClickHouseSettings, clickhouse_url=f"http://default:@{NOBODY}/ragwheel")
    assert services.broker(broker, configured=False).level == "warn"
    assert services.database(database, configured=False).level == "warn"
    finding = services.database(database, configured=True)
    assert finding.level == "fail"
    assert "RAGWHEEL_CLICKHOUSE_URL" in finding.fix


def test_an_llm_that_nobody_configured_is_a_warning_and_one_in_part_a_failure() -> None:
    nothing = services.llm(load(GraderSettings), configured=False)
    assert nothing.level == "warn"
    assert "grades with a stand-in" in nothing.detail
    keyless = load(GraderSettings, llm_base_url=f"http://{NOBODY}/v1")
    finding = services.llm(keyless, configured=False)
    assert finding.level == "fail"
    assert 'RAGWHEEL_LLM_API_KEY, to "none"' in finding.fix
    # What grades may run elsewhere, with a key that this shell does not know.
    assert services.llm(keyless, configured=True).level == "warn"


@pytest.mark.parametrize("key", ["k", "none"])
def test_a_dead_llm_is_a_failure_with_a_key_and_without_on_purpose(key: str) -> None:
    dead = load(GraderSettings, llm_base_url=f"http://{NOBODY}/v1", llm_api_key=key)
    assert services.llm(dead, configured=False).level == "fail"
    odd = load(GraderSettings, llm_base_url="file:///etc", llm_api_key=key)
    assert "is no URL" in services.llm(odd, configured=False).detail


@pytest.mark.parametrize(
    ("judge", "level"), [("llama-3-70b", "ok"), ("o3", "warn"), ("absent", "warn")]
)
def test_a_judge_of_the_labeler_s_family_is_a_warning(judge: str, level: str) -> None:
    settings = load(GraderSettings, llm_model="gpt-5-mini", judge_model=judge)
    finding = services.labeler_and_judge(settings, {"gpt-5-mini", "llama-3-70b", "o3"})
    assert finding.level == level
    if judge == "o3":
        assert "both are of the family 'gpt'" in finding.detail
        assert "RAGWHEEL_JUDGE_MODEL" in finding.fix


def test_models_that_tell_no_family_are_not_called_siblings() -> None:
    settings = load(GraderSettings, llm_model="7b", judge_model="70b")
    assert services.labeler_and_judge(settings, {"7b", "70b"}).level == "ok"


def test_what_an_endpoint_was_seen_to_take_is_told_with_its_date(tmp_path: Path) -> None:
    settings = load(GraderSettings, llm_cache_dir=tmp_path, llm_model="7b", judge_model="m")
    learnt = LearntShape(
        settings.llm_base_url, "m", RequestShape(), RequestShape("none", None, "max_tokens"),
        datetime(2026, 11, 23, tzinfo=UTC),
    )  # fmt: skip
    remember(tmp_path, learnt)
    assert services.labeler_and_judge(settings, {"7b", "m"}).detail.endswith(
        " serves 7b (nothing was refused yet: json_schema, temperature 0, max_completion_tokens), "
        "m (without format, temperature no, max_tokens; learnt 2026-11-23)"
    )


def test_a_stand_in_is_never_ok() -> None:
    settings = load(GraderSettings, llm_model=DEMO_GRADER_MODEL, llm_api_key="local-demo")
    finding = services.llm(settings, configured=True)
    assert finding.level == "warn"
    assert "is a stand-in, no LLM" in finding.detail


def test_a_misspelt_setting_is_a_finding_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGWHEEL_SAMPEL_RATE", "1")
    monkeypatch.setattr(checks, "missing_packages", lambda extra: [extra])
    findings = list(checks.examine(tmp_path, list, configured=False, quick=True))
    wrong = [finding for finding in findings if finding.subject == "settings"]
    assert wrong
    assert "RAGWHEEL_SAMPEL_RATE" in wrong[0].detail
