"""The URL of a vector store is read whatever its password, and never shows it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from ragwheel.schemas.secrets import StoreUrl

ODD = ["pa/ss", "pa#ss", "p@ss", "100%", "pa:ss", "pa?ss", "pa ss", "p'a\"ss", "pässwörd", "//@:"]


@pytest.mark.parametrize("password", ODD)
def test_any_password_is_read_encoded_and_shown_in_no_form(password: str) -> None:
    url = StoreUrl(f"postgresql://us%40er:{quote(password, safe='')}@db.example:9/x?a=b#chunks")
    assert url.credentials() == ("us@er", password)
    assert (url.scheme, url.where, url.options, url.fragment) == (
        "postgresql", "db.example:9/x", "?a=b", "chunks",
    )  # fmt: skip
    assert str(url) == "postgresql://db.example:9/x#chunks"
    assert repr(url) == "StoreUrl('postgresql://db.example:9/x#chunks')"


@pytest.mark.parametrize("password", ODD)
def test_a_driver_that_repeats_a_password_does_not_get_it_shown(password: str) -> None:
    for written in (password, quote(password, safe="")):
        url = StoreUrl(f"postgresql://me:{written}@db.example/x#chunks")
        said = url.hide(f'invalid port "{written}" in {password}, db.example')
        assert f'"{written}"' not in said
        assert f" in {password}," not in said


def test_a_key_alone_is_the_password() -> None:
    url = StoreUrl("qdrant+https://key%2F1@host#chunks")
    assert url.credentials() == ("", "key/1")
    assert "key" not in url.hide("key%2F1 and key/1 are wrong")
    assert StoreUrl("qdrant://host:6333#chunks").credentials() == ("", "")


def test_secrets_among_the_options_are_hidden() -> None:
    url = StoreUrl("postgresql://host/x?sslpassword=hu%20sh#chunks")
    assert str(url) == "postgresql://host/x#chunks"
    assert url.hide("hu sh is wrong") == "… is wrong"


@pytest.mark.parametrize("url", ["", "chunks", "me:hush@host", "HTTP://hush@x#y"])
def test_what_is_no_url_is_not_shown(url: str) -> None:
    assert str(StoreUrl(url)) == "…"
