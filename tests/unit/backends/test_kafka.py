"""The settings in librdkafka's terms, and what is missing among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragwheel.backends import kafka
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import KafkaSettings

SASL = {
    "kafka_security_protocol": "SASL_PLAINTEXT",
    "kafka_sasl_username": "u",
    "kafka_sasl_password": "p",
}
OAUTH = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "OAUTHBEARER",
    "kafka_oauth_token_url": "https://id/token",
    "kafka_oauth_client_id": "c",
    "kafka_oauth_client_secret": "s",
}


def test_a_plain_connection_carries_nothing_of_the_others() -> None:
    settings = load(KafkaSettings, **{**SASL, "kafka_security_protocol": "PLAINTEXT"})
    assert set(kafka.connection(settings)) == {
        "bootstrap.servers",
        "security.protocol",
        "log_level",
    }


def test_mutual_tls_names_its_files_and_its_keys_password(tmp_path: Path) -> None:
    file = tmp_path / "any.pem"
    file.touch()
    names = ("ca", "certificate", "key")
    files = {f"kafka_ssl_{name}_location": str(file) for name in names}
    settings = load(
        KafkaSettings, kafka_security_protocol="SSL", kafka_ssl_key_password="k", **files
    )
    config = kafka.connection(settings)
    assert {config[f"ssl.{name}.location"] for name in names} == {str(file)}
    assert config["ssl.key.password"] == "k"
    with pytest.raises(ConfigError, match=r"Kafka's client refuses its settings.*RAGWHEEL_KAFKA"):
        kafka.producer(settings)


def test_oauth_asks_for_a_scope_only_if_there_is_one() -> None:
    config = kafka.connection(load(KafkaSettings, **OAUTH))
    assert config["sasl.oauthbearer.method"] == "oidc"
    assert "sasl.oauthbearer.scope" not in config
    assert "sasl.username" not in config
    scoped = kafka.connection(load(KafkaSettings, **OAUTH, kafka_oauth_scope="kafka"))
    assert scoped["sasl.oauthbearer.scope"] == "kafka"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (SASL, "kafka_sasl_username"),
        (SASL, "kafka_sasl_password"),
        (OAUTH, "kafka_oauth_token_url"),
        (OAUTH, "kafka_oauth_client_id"),
        (OAUTH, "kafka_oauth_client_secret"),
    ],
)
def test_what_the_mechanism_needs_is_asked_for(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ConfigError, match=f"RAGWHEEL_{missing.upper()} is empty"):
        kafka.connection(load(KafkaSettings, **{**given, missing: ""}))


def test_a_file_that_is_not_there_is_named() -> None:
    settings = load(
        KafkaSettings, kafka_security_protocol="SSL", kafka_ssl_key_location="/no/key.pem"
    )
    with pytest.raises(ConfigError, match=r"RAGWHEEL_KAFKA_SSL_KEY_LOCATION: .*'/no/key\.pem'"):
        kafka.connection(settings)


def test_a_token_url_is_a_url() -> None:
    with pytest.raises(ConfigError, match="RAGWHEEL_KAFKA_OAUTH_TOKEN_URL"):
        load(KafkaSettings, kafka_oauth_token_url="file:///etc/passwd")
