"""A ClickHouse URL is read whatever its password, and never shows it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.loading import load, secret_variables
from ragwheel.schemas.secrets import ClickHouseAddress, ClickHouseUrl, is_secret
from ragwheel.schemas.settings import ClickHouseSettings, GraderSettings

ODD = [
    "pa/ss",
    "pa#ss",
    "p@ss",
    "100%",
    "pa:ss",
    "pa?ss",
    "pa ss",
    "p'a\"ss",
    "pässwörd",
    "none",
    "//@:",
]


def _address(url: str) -> ClickHouseAddress:
    return ClickHouseUrl(url).address()


@pytest.mark.parametrize("password", ODD)
def test_any_password_is_read_from_the_url_encoded_or_not(password: str) -> None:
    for written in (password, quote(password, safe="")):
        url = ClickHouseUrl(f"https://us%40er:{written}@db.example:9/events")
        assert url.address() == ClickHouseAddress(
            "https", "db.example", 9, "events", "us@er", password
        )
        for shown in (str(url), f"{url!r}", repr(url.address()), repr([url])):
            assert written not in shown
        assert str(url) == "https://db.example:9/events"


@pytest.mark.parametrize("password", ODD)
def test_any_password_is_a_setting_and_does_not_show(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGWHEEL_CLICKHOUSE_PASSWORD", password)
    settings = load(ClickHouseSettings)
    assert settings.clickhouse_password.get_secret_value() == password
    assert password not in repr(settings)
    assert password not in settings.model_dump_json().replace("://", "")


def test_what_is_not_said_has_defaults() -> None:
    assert _address("http://h") == ClickHouseAddress("http", "h", 8123, "ragwheel", "default", "")
    assert _address("https://u:@[::1]/x").port == 8443
    assert _address("http://[::1]:81/x/").host == "::1"


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret",  # the host was forgotten
        "http://user:sec/ret",
        "http://user:secret@",
        "secret",
        "secret://secret:secret@",
        "postgres://user:secret@h/x",
        "http://user:secret@h:99999/x",
        "http://user:sec@ret-of@h/x-y",
        "http://user:secret@h/ragwheel?password=secret",
    ],
)
def test_an_unreadable_url_is_refused_without_what_may_be_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match="RAGWHEEL_CLICKHOUSE_URL") as refused:
        _address(url)
    for shown in (str(refused.value), repr(ClickHouseUrl(url))):
        assert "secret" not in shown
        assert "ret" not in shown
        assert "user" not in shown.replace("user:password@", "")


@pytest.mark.parametrize("field", ["clickhouse_url", "clickhouse_password", "llm_api_key"])
def test_a_value_that_is_no_text_is_refused_without_showing_it(field: str) -> None:
    with pytest.raises(ConfigError, match=f"RAGWHEEL_{field.upper()}: its value") as refused:
        load(GraderSettings, **{field: ["hidden"]})
    assert "hidden" not in str(refused.value)
    with pytest.raises(ValueError, match=field) as refused_by_pydantic:
        GraderSettings(**{field: ["hidden"]})  # type: ignore[arg-type]
    assert "hidden" not in str(refused_by_pydantic.value)


def test_every_setting_that_is_called_a_secret_is_of_a_secret_type() -> None:
    assert is_secret(ClickHouseUrl | None)
    assert not is_secret(str)
    secrets = {"PASSWORD", "SECRET", "API_KEY"}
    names = {
        name
        for kind in (ClickHouseSettings, GraderSettings)
        for name in (f"RAGWHEEL_{field.upper()}" for field in kind.model_fields)
        if any(word in name for word in secrets)
    }
    assert names <= secret_variables()
    assert "RAGWHEEL_CLICKHOUSE_URL" in secret_variables()
