"""Telling statements apart, and finding where inline data begins."""

from __future__ import annotations

import pytest

from ragwheel.stack.clickhouse.statement import (
    InlineInsert,
    NotInline,
    first_word,
    has_result,
    inline_insert,
    trailing_format,
)


@pytest.mark.parametrize(
    ("text", "statement", "data_format", "data"),
    [
        (b"INSERT INTO t (a) FORMAT Native\n\n\x01", b"INSERT INTO t (a) ", "Native", b"\n\x01"),
        (b"insert into t format JSONEachRow {}", b"insert into t ", "JSONEachRow", b"{}"),
        (b"INSERT INTO t FORMAT CSV\r\n1,2", b"INSERT INTO t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT CSV;\n1", b"INSERT INTO t ", "CSV", b"1"),
        (
            b"INSERT INTO t SETTINGS insert_deduplication_token = 'FORMAT x' FORMAT TSV\na",
            b"INSERT INTO t SETTINGS insert_deduplication_token = 'FORMAT x' ",
            "TSV",
            b"a",
        ),
        (
            b'-- FORMAT no\n/* SELECT */ INSERT INTO `FORMAT` (`SELECT`, "VALUES") FORMAT CSV\n1',
            b'-- FORMAT no\n/* SELECT */ INSERT INTO `FORMAT` (`SELECT`, "VALUES") ',
            "CSV",
            b"1",
        ),
        (b"INSERT INTO db.t (format, values) FORMAT CSV\n", None, "CSV", b""),
        (
            b"INSERT INTO t VALUES (1), ('FORMAT CSV')",
            b"INSERT INTO t ",
            "Values",
            b" (1), ('FORMAT CSV')",
        ),
    ],
)
def test_inline_data_begins_after_the_name_of_its_format(
    text: bytes, statement: bytes | None, data_format: str, data: bytes
) -> None:
    parts = inline_insert(text, complete=True)
    assert isinstance(parts, InlineInsert)
    assert parts.format == data_format
    assert text[parts.data_offset :] == data
    assert statement is None or parts.statement == statement


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"SELECT 1 FORMAT Native",
        b"INSERT INTO t SELECT * FROM u FORMAT Native",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x FORMAT CSV",
        b"(SELECT 1)",
        b"CREATE TABLE t (a UInt8) ENGINE = Memory",
        b"INSERT INTO t",
    ],
)
def test_other_statements_have_no_inline_data(text: bytes) -> None:
    assert inline_insert(text, complete=True) is NotInline.OTHER


def test_a_statement_cut_anywhere_is_undecided_or_found_with_the_same_parts() -> None:
    text = b"/* c */ INSERT INTO `t x` (a, b) SETTINGS s = 'it''s' FORMAT Native\n\x02\x01data"
    whole = inline_insert(text, complete=True)
    assert isinstance(whole, InlineInsert)
    for cut in range(len(text)):
        verdict = inline_insert(text[:cut], complete=False)
        if cut <= whole.data_offset:
            assert verdict is NotInline.UNDECIDED, text[:cut]
        else:
            assert verdict == whole, text[:cut]


@pytest.mark.parametrize(
    ("text", "word", "answers"),
    [
        (b"  -- note\n select 1", b"SELECT", True),
        (b"((SELECT 1) UNION ALL (SELECT 2))", b"SELECT", True),
        (b"WITH 1 AS x SELECT x", b"WITH", True),
        (b"SHOW TABLES", b"SHOW", True),
        (b"DROP TABLE t", b"DROP", False),
        (b"", b"", False),
        (b"'text'", b"", False),
    ],
)
def test_the_first_word_says_whether_there_is_a_result(
    text: bytes, word: bytes, answers: bool
) -> None:
    assert first_word(text) == word
    assert has_result(text) is answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"SELECT 1\n FORMAT Native", "Native"),
        (b"SELECT 1 format JSONEachRow ; ", "JSONEachRow"),
        (b"SELECT 'FORMAT x'", None),
        (b"SELECT 1", None),
    ],
)
def test_a_format_at_the_end_is_found(text: bytes, expected: str | None) -> None:
    assert trailing_format(text) == expected
