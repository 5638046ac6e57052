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
    ):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            llm.configure(**wrong)
    assert llm.ledger()["faults"] == {}
