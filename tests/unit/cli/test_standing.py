"""`ragwheel train status` says what can be proven today and what is missing, in words."""

from __future__ import annotations

import dataclasses

import pytest
from tests.unit.cli.test_json import the_outlook

from ragwheel.cli.output import show
from ragwheel.cli.views.standing import standing


def shown(capsys: pytest.CaptureFixture[str], **changes: object) -> str:
    show(standing(dataclasses.replace(the_outlook(), **changes)))  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_each_segment_has_its_provable_gain_and_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys)
    assert "300 queries have a relevant label" in text
    assert "at 1,000 more" in text
    assert "look 2 of its series, at a level of 0.008" in text
    rows = [line.split() for line in text.splitlines()]
    [whole, code] = [row for row in rows if row[:1] in (["all"], ["code"])]
    assert whole[1:] == code[1:], "one segment is all there is"
    assert int(whole[1]) == 60
    assert float(whole[2]) > 8, "60 queries prove large gains only"


def test_without_a_held_out_query_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing can be proven" in shown(capsys, parts=())
