"""Who may talk to the front: whoever shows the password, and no page in a browser."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from multidict import CIMultiDictProxy

from ragwheel.backends.files import replace_file
from ragwheel.operations.credentials import USER, password_file, read_password
from ragwheel.stack.clickhouse.engine import EngineError

_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
# What a page is told apart by: where it comes from, and in which way.
_OF_PAGES = ("Origin", "Referer", "Access-Control-Request-Method", "Upgrade")
_OWN_SITES = frozenset({"none", "same-origin"})


def keep_password(data_dir: Path) -> str:
    """The password of the data in `data_dir`, made at the first call; its owner alone reads it."""
    file = password_file(data_dir)
    password = read_password(data_dir)
    if not password:
        password = secrets.token_urlsafe(32)
        replace_file(file, f"{password}\n".encode(), mode=0o600)
    os.chmod(file, 0o600)
    return password


def refuse_pages(headers: CIMultiDictProxy[str]) -> None:
    """Refuse what a page in the user's browser sends, whichever way it makes the browser send it.

    Browsers name a page's origin in Origin (posts, fetch with CORS, WebSockets), in Referer and,
    for requests without either, their kind in Sec-Fetch-Site. A name that was rebound to this
    address stands in Host.

    Raises:
        EngineError: ACCESS_DENIED.
    """
    hosts = headers.getall("Host", [])
    site = headers.get("Sec-Fetch-Site", "none")
    if (
        len(hosts) != 1
        or _without_port(hosts[0]).lower() not in _HOSTS
        or site not in _OWN_SITES
        or any(name in headers for name in _OF_PAGES)
    ):
        raise EngineError.of(497, "requests of web pages are refused", "ACCESS_DENIED")


def require_password(headers: Mapping[str, str], password: str) -> None:
    """Refuse who does not show user and password, as `Authorization: Basic` or `X-ClickHouse-Key`.

    Not as parameters of the URL: those end in logs and histories.

    Raises:
        EngineError: AUTHENTICATION_FAILED.
    """
    user, key = _shown(headers)
    # Both always, in time that does not tell how much of them was right.
    right_user = hmac.compare_digest(user, USER.encode())
    if not (hmac.compare_digest(key, password.encode()) and right_user):
        raise EngineError.of(
            516,
            f"{user.decode(errors='replace')}: Authentication failed: password is incorrect, or "
            "there is no user with such name",
            "AUTHENTICATION_FAILED",
        )


def _shown(headers: Mapping[str, str]) -> tuple[bytes, bytes]:
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, key = base64.b64decode(value, validate=True).partition(b":")
        except binascii.Error:
            return b"", b""
        return user, key
    return (
        headers.get("X-ClickHouse-User", USER).encode(errors="surrogateescape"),
        headers.get("X-ClickHouse-Key", "").encode(errors="surrogateescape"),
    )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
