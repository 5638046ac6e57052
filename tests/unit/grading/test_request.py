"""Requests give way to servers that lack a feature, once and for good."""

import pytest

from ragwheel.grading.endpoint.request import RequestShape, adapt
from ragwheel.grading.endpoint.retry import CallFailure


def _refusal(message: str, status: int = 400) -> CallFailure:
    return CallFailure("http", message, status=status)


def test_the_first_request_asks_for_strict_json() -> None:
    body = RequestShape().body("m", "system", "user", passages=10)
    assert body["extra_body"]["response_format"]["json_schema"]["strict"] is True
    assert body["temperature"] == 0.0
    assert body["max_completion_tokens"] == 1_024 + 320
    assert [each["role"] for each in body["messages"]] == ["system", "user"]


def test_json_schema_gives_way_to_json_object_and_that_to_nothing() -> None:
    complaint = _refusal("response_format of type json_schema is not supported")
    second = adapt(RequestShape(), complaint)
    assert second is not None
    assert second.body("m", "s", "u", 1)["extra_body"] == {
        "response_format": {"type": "json_object"}
    }
    third = adapt(second, complaint)
    assert third is not None
    assert "extra_body" not in third.body("m", "s", "u", 1)
    assert adapt(third, complaint) is None


@pytest.mark.parametrize("status", [400, 422])
def test_refused_parameters_are_left_out_or_renamed(status: int) -> None:
    cool = adapt(RequestShape(), _refusal("temperature: unsupported value", status))
    assert cool is not None
    assert "temperature" not in cool.body("m", "s", "u", 1)
    old = adapt(cool, _refusal("unknown field max_completion_tokens", status))
    assert old is not None
    assert old.body("m", "s", "u", 1)["max_tokens"] == 1_056
    assert "temperature" not in old.body("m", "s", "u", 1)


@pytest.mark.parametrize(
    "failure",
    [
        _refusal("context length exceeded"),
        _refusal("temperature", status=500),
        _refusal("json_schema", status=404),
        CallFailure("timeout", "json_schema"),
    ],
)
def test_other_failures_change_nothing(failure: CallFailure) -> None:
    assert adapt(RequestShape(), failure) is None


def test_a_temperature_that_was_never_sent_cannot_be_left_out() -> None:
    assert adapt(RequestShape(temperature=None), _refusal("temperature")) is None
