"""Redaction: what goes, what stays, what cannot be used is said, and nothing quotes a text."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import statistics
from asyncio import base_events
from collections.abc import Callable
from inspect import getsource
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.rigs.house import ROOT

from ragwheel.backends.redaction import (
    NOTHING,
    RedactionError,
    Redactor,
    Rule,
    load_redactor,
    read_rules,
)
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.settings import RedactionSettings

MAIL = "ann@example.org"
COMMON = Redactor(read_rules("common"))


def upper(text: str) -> str:
    return text.upper()


def failing(text: str) -> str:
    raise ValueError(f"cannot do {text}")


def forgetful(_: str) -> None:
    """Returns nothing."""


def redactor(pattern: str = re.escape(MAIL), replacement: str = "<x>") -> Redactor:
    return Redactor((Rule("mail", re.compile(pattern), replacement),))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ann.b+c@mail.example.org, please", "write to <email>, please"),
        ("<ann@example.org>", "<<email>>"),
        ("mailto:ann@example.org.", "mailto:<email>."),
        ("call +49 151 23456789 now", "call <phone> now"),
        ("+4915123456789", "<phone>"),
        ("+1 (415) 555-2671", "<phone>"),
        ("(415) 555-2671 or 415-555-2671", "<phone> or <phone>"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN <iban>."),
        ("GB82WEST12345698765432", "<iban>"),
        ("NO9386011117947", "<iban>"),
        ("from 203.0.113.7 to 192.0.2.1:80", "from <ip> to <ip>:80"),
        ("[2001:db8::8a2e:370:7334]:443", "[<ip>]:443"),
        ("fe80::1 and 2001:0db8:0:0:0:0:1428:57ab", "<ip> and <ip>"),
    ],
)
def test_the_shipped_rules_find_what_names_somebody(text: str, left: str) -> None:
    assert COMMON.text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "@app.route('/x')\ndef f(a, b): return a @ b.T + a@b.dot(c)",
        "npm install left-pad@1.3.0 react@18",
        "ssh user@host, scp root@localhost:/etc",
        "pip install x==1.2.3.4 (v1.2.3.4, 1.2.3, 1.2.3.4.5)",
        "listen on 127.0.0.1:8080 or 0.0.0.0, mask 999.1.1.1",
        "std::vector<ab::cd> x = dead::beef; a[1::2] at 12:30:45",
        "2026-01-31T12:00:00.123456+01:00, id 550e8400-e29b-41d4-a716-446655440000",
        "x = y + 1234567890; z = 1_000_000_000; 3.14159265; 0xDE89370400440532",
        "ISBN 978-3-16-148410-0, RFC 5322, port 65535, 4111 items, 2026-2027",
        "SELECT * FROM t WHERE a='DE' AND b=89 -- AT61 is a road",
        "In 2025 the team of 12 shipped 1,234,567 parts at 99.95 % for 1.299,00 EUR.",
        "DE12 and GB34 are rooms; CONSTANT_DE89_MAX = 3",
    ],
)
def test_the_shipped_rules_leave_code_and_prose_alone(text: str) -> None:
    assert COMMON.text(text) == text


def test_the_shipped_rules_leave_this_projects_code_and_the_standard_librarys_alone() -> None:
    texts = [getsource(module) for module in (contextlib, dataclasses, statistics, base_events)]
    texts += [path.read_text("utf-8") for path in ROOT.glob("*/ragwheel/**/*.py")]
    texts += [path.read_text("utf-8") for path in ROOT.glob("docs/*.md")]
    found = {
        f"{rule.name}: {match[0]}"
        for text in texts
        for rule in COMMON.rules
        for match in rule.pattern.finditer(text)
    }
    really = {"email: team@example.org", "email: ragwheel@example.org", "ipv4: 10.0.0.1"}
    assert found <= really


def test_every_text_of_an_event_passes_and_what_joins_events_stays() -> None:
    event: dict[str, Any] = {
        "event": "retrieval", "schema_version": 1, "event_id": MAIL, "query_id": MAIL,
        "ts": "2026-01-31T12:00:00Z", "service": "shop", "segment": "docs", "k": 3,
        "query": f"about {MAIL}", "user": MAIL, "source": MAIL,
        "attributes": {MAIL: [MAIL, {"deep": MAIL}], "n": 5, "b": True, "none": None},
        "added_later": MAIL,
        "candidates": [
            {"chunk_id": MAIL, "rank": 1, "score": 0.5, "text": f"by {MAIL}", "more": MAIL,
             "content_hash": identity.content_hash(f"by {MAIL}")},
            {"chunk_id": "b", "rank": 2, "score": 0.5, "content_hash": "a" * 32},
            MAIL,
        ],
    }  # fmt: skip
    assert redactor().event(event) == {
        **event,
        "query": "about <x>", "user": "<x>", "source": "<x>", "added_later": "<x>",
        "attributes": {"<x>": ["<x>", {"deep": "<x>"}], "n": 5, "b": True, "none": None},
        "candidates": [
            {"chunk_id": MAIL, "rank": 1, "score": 0.5, "text": "by <x>", "more": "<x>",
             "content_hash": identity.content_hash("by <x>")},
            {"chunk_id": "b", "rank": 2, "score": 0.5, "content_hash": "a" * 32},
            "<x>",
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    "field", ["ts", "content_hash", "k", "rank", "score", "schema_version", "in_context", "value"]
)
def test_a_text_where_none_belongs_is_a_text_like_any_other(field: str) -> None:
    assert redactor().event({field: MAIL}) == {field: "<x>"}


def test_what_hides_under_a_kept_name_is_found() -> None:
    event = {"segment": {"of": MAIL}, "query_id": [MAIL]}
    assert redactor().event(event) == {"segment": {"of": "<x>"}, "query_id": ["<x>"]}


def test_a_number_that_a_rule_finds_becomes_a_text() -> None:
    assert redactor("4915123456789").event({"attributes": {"n": 4915123456789, "m": 7}}) == {
        "attributes": {"n": "<x>", "m": 7}
    }


def test_rules_run_in_their_order_and_the_function_after_them() -> None:
    rules = (
        Rule("a", re.compile("(a)b"), r"\1c"),
        Rule("b", re.compile("ac"), "done"),
    )
    assert Redactor(rules, upper).text("ab") == "DONE"
    assert Redactor((), upper).text("ab") == "AB"


def test_a_text_that_is_redacted_to_nothing_stays_a_text() -> None:
    assert redactor(".+", "").text(MAIL) == NOTHING


@pytest.mark.parametrize("function", [failing, forgetful])
def test_a_function_that_fails_is_named_without_the_text(function: Callable[[str], Any]) -> None:
    with pytest.raises(RedactionError) as raised:
        Redactor((), function).json(orjson.dumps({"text": MAIL}))
    shown = f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__suppress_context__}"
    assert MAIL not in shown
    assert "ValueError" in shown or "NoneType" in shown


@pytest.mark.parametrize("value", [b"", b"{", b"[1]", b'"a"', b"\xff", b'{"a": NaN}'])
def test_bytes_that_are_no_object_are_told_apart(value: bytes) -> None:
    assert redactor().json(value) is None


def test_an_object_that_cannot_be_written_again_fails_as_redaction() -> None:
    with pytest.raises(RedactionError):
        redactor().json(b'{"a":' * 600 + b"1" + b"}" * 600)


def loaded(**settings: str) -> Redactor | None:
    return load_redactor(RedactionSettings(**settings))  # type: ignore[arg-type]


def test_nothing_is_loaded_where_nothing_is_set() -> None:
    assert loaded() is None


def test_a_file_of_rules_and_a_function_are_found_by_their_names(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[ticket]\npattern = 'tkt-(\\d+)'\nreplacement = '<\\1>'\nignore_case = true")
    made = loaded(redact_rules=str(file), redact_function=f"{__name__}:upper")
    assert made is not None
    assert made.text("TKT-17 is open") == "<17> IS OPEN"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("", "has no rule"),
        ("[a", "is not TOML"),
        ("a = 1", "rule 'a': a table with `pattern`, `replacement`"),
        ("[a]\npattern = 'x'", "rule 'a': a table with"),
        ("[a]\npattern = 'x'\nreplacement = ''\nflags = 'i'", "rule 'a': a table with"),
        (
            "[a]\npattern = 1\nreplacement = ''",
            "rule 'a': `pattern`, `replacement` and `contains` must",
        ),
        ("[a]\npattern = 'x'\nreplacement = ''\nignore_case = 1", "rule 'a': `ignore_case`"),
        ("[a]\npattern = '('\nreplacement = ''", "rule 'a': `pattern` is no regular expression"),
        ("[a]\npattern = '\\d*'\nreplacement = ''", "rule 'a': `pattern` matches the empty text"),
        ("[a]\npattern = 'x'\nreplacement = '\\2'", "rule 'a': `replacement` cannot be used"),
        ("[ok]\npattern = 'x'\nreplacement = ''\n[b]\npattern = '['\nreplacement = ''", "rule 'b'"),
    ],
)
def test_rules_that_cannot_be_used_are_named_at_the_start(
    rules: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(rules)
    with pytest.raises(ConfigError, match=f"RAGWHEEL_REDACT_RULES: .*{re.escape(said)}"):
        loaded(redact_rules=str(file))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("upper", "module:function is needed"),
        ("no.such.module:f", "no.such.module cannot be imported (ModuleNotFoundError"),
        ("json:nothing", "json has no function nothing"),
        ("json:__name__", "json has no function __name__"),
    ],
)
def test_a_function_that_cannot_be_found_is_named_at_the_start(function: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"RAGWHEEL_REDACT_FUNCTION.*{re.escape(said)}"):
        loaded(redact_function=function)


def test_a_file_that_is_not_there_is_named_with_the_fix() -> None:
    with pytest.raises(ConfigError, match=r"nowhere.toml: No such file.*'common'"):
        loaded(redact_rules="nowhere.toml")
