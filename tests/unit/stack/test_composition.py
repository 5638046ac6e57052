"""Components, settings and addresses of a stack."""

from __future__ import annotations

import socket
from pathlib import Path

import orjson
import pytest

from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.loading import known_variables
from ragwheel.schemas.settings import GraderSettings, IntakeSettings
from ragwheel.stack.composition import (
    ALL_COMPONENTS,
    DEMO_GRADER_MODEL,
    DEMO_JUDGE_MODEL,
    USUAL_COMPONENTS,
    DemoLlm,
    ExternalLlm,
    choose_components,
    choose_llm,
    local_defaults,
    require_key,
)
from ragwheel.stack.home import Home
from ragwheel.stack.local import LocalStack
from ragwheel.stack.processes.ports import kept_port, noted_port
from ragwheel.stack.prometheus import prometheus_config
from ragwheel.stack.schema import settings_in


def test_components_are_left_out_by_name() -> None:
    assert choose_components() == USUAL_COMPONENTS
    assert choose_components(without=["trainer", "llm"]) == (
        "kafka", "clickhouse", "intake", "accounts", "grader",
    )  # fmt: skip


def test_the_server_is_one_only_if_it_is_asked_for() -> None:
    assert choose_components(serve=True) == ALL_COMPONENTS
    assert set(ALL_COMPONENTS) - set(USUAL_COMPONENTS) == {"server"}
    assert "server" not in choose_components(serve=True, without=["server"])


def test_an_unknown_component_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'grafana' is no component; .*clickhouse"):
        choose_components(without=["grafana"])


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, DemoLlm()),
        ({"RAGWHEEL_SAMPLE_RATE": "1", "RAGWHEEL_LLM_API_KEY": ""}, DemoLlm()),
        ({"RAGWHEEL_LLM_API_KEY": "k"}, ExternalLlm()),
        ({"RAGWHEEL_LLM_BASE_URL": "http://h/v1"}, ExternalLlm()),
        ({"RAGWHEEL_LLM_MODEL": "m"}, ExternalLlm()),
        ({"RAGWHEEL_JUDGE_MODEL": "m"}, ExternalLlm()),
        ({"RAGWHEEL_LLM_BASE_URL": "http://h/v1", "RAGWHEEL_LLM_API_KEY": "k"}, ExternalLlm()),
    ],
)
def test_a_stand_in_grades_only_when_nothing_is_said_of_an_llm(
    env: dict[str, str], expected: object
) -> None:
    assert choose_llm(env) == expected


@pytest.mark.parametrize("part", ["RAGWHEEL_LLM_BASE_URL", "RAGWHEEL_LLM_MODEL"])
def test_an_endpoint_without_a_key_ends_the_start_before_anything_runs(
    tmp_path: Path, part: str
) -> None:
    told: list[str] = []
    stack = LocalStack(tmp_path / "home", env={part: "http://h/v1"}, on_progress=told.append)
    with pytest.raises(ConfigError, match=rf'^{part}: .*RAGWHEEL_LLM_API_KEY is not.*"none"'):
        stack.start()
    assert not told


def test_no_key_is_said_on_purpose() -> None:
    env = {"RAGWHEEL_LLM_BASE_URL": "http://h/v1", "RAGWHEEL_LLM_API_KEY": "none"}
    require_key(env)
    assert settings_in(env, GraderSettings).llm_api_key.get_secret_value() == "none"


def test_the_stand_in_says_what_it_is_in_words_and_in_its_models_names() -> None:
    assert "NO LLM GRADES" in str(DemoLlm())
    assert "no LLM" in str(DemoLlm(Path("gold.json")))
    for model in (DEMO_GRADER_MODEL, DEMO_JUDGE_MODEL):
        assert identity.is_stand_in(model)
        assert identity.is_stand_in(identity.grader_id(model, {}, "prompt"))
    assert not identity.is_stand_in(GraderSettings().llm_model)


def test_local_defaults_are_settings_that_exist(tmp_path: Path) -> None:
    assert set(local_defaults(Home(tmp_path))) <= known_variables()


def test_settings_are_those_that_a_process_with_that_environment_reads() -> None:
    env = {
        "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": "h:1",
        "RAGWHEEL_SAMPLE_RATES": "a=0.5,b=1",
        "RAGWHEEL_INTAKE_GROUP": "",
        "RAGWHEEL_LLM_MODEL": "of another process",
    }
    settings = settings_in(env, IntakeSettings, sample_rate=0.25)
    assert settings.kafka_bootstrap_servers == "h:1"
    assert settings.sample_rates == {"a": 0.5, "b": 1.0}
    assert settings.sample_rate == 0.25
    assert settings.intake_group == "ragwheel-intake"


def test_none_is_a_value_that_a_setting_can_have() -> None:
    assert settings_in({"RAGWHEEL_LLM_TEMPERATURE": "none"}, GraderSettings).llm_temperature is None


def test_a_wrong_value_is_told_with_its_variable() -> None:
    with pytest.raises(ConfigError, match="RAGWHEEL_SAMPLE_RATE"):
        settings_in({"RAGWHEEL_SAMPLE_RATE": "2"}, IntakeSettings)


@pytest.mark.parametrize(("text", "port"), [("9092\n", 9092), ("", 0), ("90x", 0)])
def test_a_noted_port_is_found_again_and_half_a_note_is_none(
    text: str, port: int, tmp_path: Path
) -> None:
    note = tmp_path / "port"
    assert noted_port(note) == 0
    note.write_text(text, encoding="ascii")
    assert noted_port(note) == port


def test_a_port_in_use_is_not_taken_again(tmp_path: Path) -> None:
    note = tmp_path / "run" / "port"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert kept_port(note, wanted=taken) == taken
        assert kept_port(note) not in (0, taken)
    assert kept_port(note) == noted_port(note) != 0


def test_prometheus_scrapes_each_worker_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.rules.yml").touch()
    (tmp_path / "prometheus.yml").touch()
    text = prometheus_config({"intake": 7, "grader": 8}, rules_dir=tmp_path, scrape_interval_s=2)
    config = orjson.loads(text)
    assert [
        (job["job_name"], job["static_configs"][0]["targets"]) for job in config["scrape_configs"]
    ] == [("intake", ["127.0.0.1:7"]), ("grader", ["127.0.0.1:8"])]
    assert config["rule_files"] == [str(tmp_path / "a.rules.yml")]
