"""A wrong setting stops a process with one line that says which and how to fix it."""

from __future__ import annotations

from typing import Any

import pytest

from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.kubernetes import is_injected
from ragwheel.schemas.loading import TOOL_VARIABLES, describe, known_variables, load
from ragwheel.schemas.settings import (
    PREFIX,
    PROCESS_SETTINGS,
    ClientSettings,
    GraderSettings,
    IntakeSettings,
    KafkaSettings,
    SamplingSettings,
    TrainerSettings,
)


@pytest.mark.parametrize("process", PROCESS_SETTINGS)
def test_every_process_starts_without_any_setting(process: str) -> None:
    assert load(PROCESS_SETTINGS[process])


def test_the_environment_is_read_and_keywords_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGWHEEL_SERVICE", "from the environment")
    monkeypatch.setenv("RAGWHEEL_CLIENT_QUEUE_MIB", "7")
    settings = load(ClientSettings, service="given")
    assert (settings.service, settings.client_queue_mib) == ("given", 7)


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS", "")
    assert load(KafkaSettings).kafka_bootstrap_servers == "localhost:9092"


def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAGWHEEL_KAFKA_BOOTSTRAP_SERVER", "kafka:9092")
    with pytest.raises(ConfigError, match="did you mean RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"):
        load(KafkaSettings)


def test_a_variable_like_no_other_is_refused_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGWHEEL_XYZZY", "1")
    with pytest.raises(ConfigError, match=r"RAGWHEEL_XYZZY is not a setting.*docs/settings\.md"):
        load(ClientSettings)


def of_kubernetes(service: str, number: int = 9092, port_name: str = "HTTP") -> dict[str, str]:
    """What a Service puts into every container of its namespace."""
    name = service.upper().replace("-", "_")
    link = f"tcp://10.0.0.1:{number}"
    return {
        f"{name}_SERVICE_HOST": "10.0.0.1",
        f"{name}_SERVICE_PORT": str(number),
        f"{name}_SERVICE_PORT_{port_name}": str(number),
        f"{name}_PORT": link,
        f"{name}_PORT_{number}_TCP": link,
        f"{name}_PORT_{number}_TCP_PROTO": "tcp",
        f"{name}_PORT_{number}_TCP_PORT": str(number),
        f"{name}_PORT_{number}_TCP_ADDR": "10.0.0.1",
    }


@pytest.mark.parametrize("process", PROCESS_SETTINGS)
@pytest.mark.parametrize(
    "service",
    # Names that settings have too: RAGWHEEL_METRICS_PORT, RAGWHEEL_SERVICE, RAGWHEEL_METRICS_HOST.
    ["ragwheel", "ragwheel-kafka", "ragwheel-metrics", "ragwheel-service", "ragwheel-metrics-host"],
)
def test_what_kubernetes_injects_for_a_service_stops_no_process_and_changes_no_setting(
    monkeypatch: pytest.MonkeyPatch, process: str, service: str
) -> None:
    expected = load(PROCESS_SETTINGS[process])
    for name, value in of_kubernetes(service).items():
        monkeypatch.setenv(name, value)
    assert load(PROCESS_SETTINGS[process]) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RAGWHEEL_DNS_PORT", "udp://[fd00::1]:53"),
        ("RAGWHEEL_DNS_PORT_53_UDP", "udp://[fd00::1]:53"),
        ("RAGWHEEL_DNS_PORT_53_UDP_PROTO", "udp"),
        ("RAGWHEEL_X_PORT_5_SCTP_ADDR", "10.0.0.1"),
        ("RAGWHEEL_X_SERVICE_PORT_METRICS_1", "9100"),
    ],
)
def test_other_protocols_and_names_of_ports_are_known_too(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert load(ClientSettings)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("RAGWHEEL_METRIC_PORT", "9100", "RAGWHEEL_METRICS_PORT"),
        ("RAGWHEEL_METRICS_PROT", "tcp://10.0.0.1:9100", "RAGWHEEL_METRICS_PORT"),
        ("RAGWHEEL_METRICS_HOSTS", "10.0.0.1", "RAGWHEEL_METRICS_HOST"),
        ("RAGWHEEL_SERVICES", "shop", "RAGWHEEL_SERVICE"),
    ],
)
def test_a_misspelt_setting_is_not_taken_for_one_of_kubernetes(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, meant: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name} is not a setting.* did you mean {meant}"):
        load(ClientSettings)


def test_only_a_name_that_ends_in_port_can_be_a_setting_and_injected() -> None:
    both = {name for name in known_variables() if is_injected(name, "tcp://10.0.0.1:1")}
    assert both == {"RAGWHEEL_METRICS_PORT", "RAGWHEEL_SERVING_PORT"}
    assert not any(is_injected(name, "9100") for name in known_variables())


def test_a_setting_of_another_process_is_no_concern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGWHEEL_LLM_MODEL", "m")
    for name in TOOL_VARIABLES:
        monkeypatch.setenv(name, "x")
    assert load(ClientSettings)


@pytest.mark.parametrize(
    ("settings", "name", "value", "words"),
    [
        (ClientSettings, "CLIENT_QUEUE_MIB", "lots", "'lots': Input should be a valid integer"),
        (ClientSettings, "CLIENT_QUEUE_MIB", "0", "greater than or equal to 1 (Memory for unsent"),
        (ClientSettings, "CLIENT_ENABLED", "perhaps", "'perhaps': Input should be a valid boolean"),
        (ClientSettings, "KAFKA_SECURITY_PROTOCOL", "TLS", "'PLAINTEXT', 'SSL'"),
        (IntakeSettings, "SAMPLE_RATE", "1.5", "less than or equal to 1"),
        (IntakeSettings, "METRICS_PORT", "99999", "less than or equal to 65535"),
        (IntakeSettings, "LOG_LEVEL", "LOUD", "'DEBUG', 'INFO'"),
        (GraderSettings, "LLM_TIMEOUT_S", "0", "greater than 0"),
    ],
)
def test_a_wrong_value_is_refused_with_name_value_and_rule(
    monkeypatch: pytest.MonkeyPatch, settings: Any, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigError) as refused:
        load(settings)
    message = str(refused.value)
    assert message.startswith(PREFIX + name)
    assert words in message
    assert "\n" not in message


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGWHEEL_LLM_API_KEY", "sk-hidden")
    monkeypatch.setenv("RAGWHEEL_KAFKA_SASL_PASSWORD", "pw-hidden")
    settings = load(GraderSettings)
    assert settings.llm_api_key.get_secret_value() == "sk-hidden"
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(list(describe()))
    with pytest.raises(ConfigError) as refused:
        load(GraderSettings, llm_api_key=["sk-hidden"])
    assert "hidden" not in str(refused.value)


def test_none_is_a_value_where_none_means_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGWHEEL_LLM_TEMPERATURE", "none")
    assert load(GraderSettings).llm_temperature is None


def test_an_endpoint_without_keys_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(GraderSettings).llm_api_key.get_secret_value() == ""
    monkeypatch.setenv("RAGWHEEL_LLM_API_KEY", "none")
    assert load(GraderSettings).llm_api_key.get_secret_value() == "none"


def test_rates_per_segment_are_read_from_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(SamplingSettings).sample_rates == {}
    monkeypatch.setenv("RAGWHEEL_SAMPLE_RATES", "code=0.2, tables=1,docs=0")
    assert load(SamplingSettings).sample_rates == {"code": 0.2, "tables": 1.0, "docs": 0.0}
    assert load(IntakeSettings).sample_rates["code"] == 0.2
    assert load(SamplingSettings, sample_rates={"a": 0.5}).sample_rates == {"a": 0.5}


@pytest.mark.parametrize(
    "rates", ["code", "code=", "code=often", "code=1.1", "code=-0.1", "code=nan", "a=1,,b=1"]
)
def test_wrong_rates_are_refused(monkeypatch: pytest.MonkeyPatch, rates: str) -> None:
    monkeypatch.setenv("RAGWHEEL_SAMPLE_RATES", rates)
    with pytest.raises(ConfigError, match=r"RAGWHEEL_SAMPLE_RATES: .* is not segment=rate"):
        load(SamplingSettings)


def test_settings_are_frozen_and_closed() -> None:
    settings = load(TrainerSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.train_seed = 3  # type: ignore[misc] # what must not be possible
    with pytest.raises(ConfigError):
        load(TrainerSettings, no_such_setting=1)


def test_every_setting_is_described_in_a_sentence() -> None:
    rows = list(describe())
    assert {process for process, *_ in rows} == set(PROCESS_SETTINGS)
    for _, variable, _, description in rows:
        assert variable.startswith(PREFIX)
        assert description.rstrip(")").endswith((".", '"')), variable
    assert {variable for _, variable, _, _ in rows} <= known_variables()
