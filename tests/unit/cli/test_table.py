"""Aligned tables."""

from __future__ import annotations

from ragwheel.cli.views.table import table


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    assert table(("topic", "produced"), [("queries", 12_345), ("feedback", 7)]).splitlines() == [
        "  topic     produced",
        "  queries     12,345",
        "  feedback         7",
    ]


def test_nothing_is_a_dash_and_does_not_make_a_column_text() -> None:
    assert table(("n",), [(None,), (10,)], indent="").splitlines() == [" n", " -", "10"]


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("a", "b"), []) == "  a  b"
