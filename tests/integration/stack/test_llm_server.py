"""The test LLM as a process: its API, its controls, its end."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from tests.rigs.grading import TestLlm, running_llm

pytestmark = pytest.mark.integration


@pytest.fixture
def llm(tmp_path: Path) -> Iterator[TestLlm]:
    with running_llm(tmp_path) as started:
        yield started


def _post(llm: TestLlm, body: bytes) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(f"{llm.address}/v1/chat/completions", body)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback
            return response.status, orjson.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, orjson.loads(error.read())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not json", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"model": "stand-in-grader", "messages": 3}', 400),
        (
            b'{"model": "stand-in-grader", "messages": [{"role": "user", "content": "Hi"}]}',
            400,
        ),
        (b'{"model": "gpt-0", "messages": []}', 404),
    ],
)
def test_a_request_it_cannot_serve_is_refused_as_the_api_does(
    llm: TestLlm, body: bytes, status: int
) -> None:
    got, answer = _post(llm, body)
    assert got == status
    assert set(answer) == {"error"}
    assert llm.ledger()["statuses"] == {str(status): 1}


def test_a_configuration_it_does_not_understand_changes_nothing(llm: TestLlm) -> None:
    for wrong in (
        {"script": [{"kind": "meteor"}]},
        {"rates": [{"kind": "hang", "rate": 2}]},
        {"rates": [{"kind": "hang"}]},
        {"script": 3},
        {"jsonschema": False},
    ):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            llm.configure(**wrong)
    assert llm.ledger()["faults"] == {}


_ASK = orjson.dumps(
    {
        "model": "stand-in-grader",
        "response_format": None,
        "logprobs": True,
        "messages": [
            {
                "role": "user",
                "content": '<query n>\nred\n</query n>\n<passage n id="bcdf">\nred\n</passage n>',
            }
        ],
    }
)


def test_limits_are_held_and_told_and_count_only_what_was_admitted(llm: TestLlm) -> None:
    llm.configure(limits={"requests_per_minute": 1}, logprobs="ignored")
    status, answer = _post(llm, _ASK)
    assert status == 200
    assert answer["choices"][0]["logprobs"] is None  # type: ignore[index] # JSON
    assert _post(llm, _ASK)[0] == 429
    llm.configure(latency={"p50": 0.001, "p95": 0.002})
    status, answer = _post(llm, _ASK)
    assert answer["choices"][0]["logprobs"]["content"]  # type: ignore[index] # JSON
    assert llm.ledger()["statuses"] == {"200": 2, "429": 1}
    assert llm.ledger()["pairs"] == 2


@pytest.mark.parametrize(
    ("manners", "status", "code"),
    [
        ({"key_revoked": True}, 401, "invalid_api_key"),
        ({"quota_exhausted": True}, 429, "insufficient_quota"),
        ({"script": [{"kind": "quota"}]}, 429, "insufficient_quota"),
    ],
)
def test_an_account_goes_bad_and_good_again(
    llm: TestLlm, manners: dict[str, object], status: int, code: str
) -> None:
    llm.configure(**manners)
    got, answer = _post(llm, _ASK)
    assert got == status
    assert answer["error"]["code"] == code  # type: ignore[index] # JSON
    llm.configure()
    assert _post(llm, _ASK)[0] == 200
