"""What the doctor says about a server before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.rigs.certificates import Authority
from tests.rigs.following import DeclaredHere

from ragwheel.operations.doctor.finding import Finding
from ragwheel.operations.doctor.server import server
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ServingSettings


def found(tmp_path: Path, declared: str | None = "f00d", **settings: Any) -> dict[str, Finding]:
    chosen = {"model_dir": tmp_path, **settings}
    told = server(
        load(ServingSettings, **chosen), configured=True, declarations=DeclaredHere(declared)
    )
    return {finding.subject: finding for finding in told}


def test_a_server_on_loopback_with_a_declared_index_is_healthy(tmp_path: Path) -> None:
    told = found(tmp_path, serving_index="docs")

    assert {finding.level for finding in told.values()} == {"ok"}
    assert "http://127.0.0.1:8400 with no key" in told["server"].detail
    assert "the base model serves" in told["artifacts"].detail
    assert told["served index"].detail == "index 'docs' declares documents of f00d"


def test_nobody_is_asked_for_the_index_before_an_address_is_set(tmp_path: Path) -> None:
    told = server(load(ServingSettings, model_dir=tmp_path), configured=False)

    assert [finding.subject for finding in told] == ["server", "artifacts"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"serving_host": "0.0.0.0"}, "RAGWHEEL_SERVING_KEYS"),  # noqa: S104 - what is refused
        ({"serving_tls_cert": "/no/c.pem"}, "set both"),
        ({"serving_tls_cert": "/no/c.pem", "serving_tls_key": "/no/k.pem"}, "is no file"),
    ],
)
def test_a_server_that_would_not_start_fails_with_the_setting(
    tmp_path: Path, settings: dict[str, str], named: str
) -> None:
    told = found(tmp_path, **settings)["server"]

    assert told.level == "fail"
    assert named in f"{told.detail} {told.fix}"


def test_a_certificate_and_the_key_of_another_one_are_told_before_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine, other = (authority.issue(name) for name in ("mine", "other"))

    def told(key: Path) -> Finding:
        pair = {"serving_tls_cert": str(mine.certificate), "serving_tls_key": str(key)}
        return found(tmp_path, **pair)["server"]

    assert (told(mine.key).level, told(other.key).level) == ("ok", "fail")
    assert "https://" in told(mine.key).detail
    assert "belong together" in told(other.key).fix


def test_the_artifact_store_is_asked_what_it_names(tmp_path: Path) -> None:
    promotion = {"model_id": "39d406a672658e55"}
    (tmp_path / "current.json").write_bytes(orjson.dumps({"promotions": [promotion]}))

    assert found(tmp_path)["artifacts"].detail.endswith("names 39d406a672658e55")


@pytest.mark.parametrize("url", ["nosuch://bucket/models", "gs://bucket/models"])
def test_a_store_that_cannot_be_opened_says_what_to_install_or_set(
    tmp_path: Path, url: str
) -> None:
    told = found(tmp_path, artifacts=url)["artifacts"]

    assert told.level == "fail"
    assert "pip install gcsfs" in told.fix or "s3://" in told.fix


def test_an_index_that_declares_nothing_is_a_warning_and_a_database_that_is_gone_a_failure(
    tmp_path: Path,
) -> None:
    silent, gone = found(tmp_path, "")["served index"], found(tmp_path, None)["served index"]

    assert (silent.level, gone.level) == ("warn", "fail")
    assert "document_fingerprint" in silent.fix
