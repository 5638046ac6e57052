"""What `ragwheel reembed` asks of ClickHouse is what docs/security.md allows it, and no more."""

from __future__ import annotations

import re

import pytest
from tests.rigs.guarded_clickhouse import Grants
from tests.rigs.house import ROOT

from ragwheel.reembed import statements
from ragwheel.schemas.tables import INDEX_ENTRIES, REEMBED_SHARDS, REEMBEDS

DOCUMENT = (ROOT / "docs/security.md").read_text("utf-8")
GRANTS = Grants(DOCUMENT, "wheel")
USER = "ragwheel_reembed"
SENT = {
    **{name: sql for name, sql in vars(statements).items() if name.isupper()},
    "tables": "SELECT name FROM schema_migrations",
    "save": f"INSERT INTO {REEMBEDS.name} (step) VALUES",
    "write": f"INSERT INTO {REEMBED_SHARDS.name} (revision) VALUES",
}


@pytest.mark.parametrize("name", SENT)
def test_a_statement_needs_no_right_that_is_not_documented(name: str) -> None:
    sql = (
        SENT[name].format(columns=", ".join(INDEX_ENTRIES.columns))
        if name == "COPY"
        else SENT[name]
    )
    assert GRANTS.refused(USER, sql) == ""


def test_every_documented_right_is_needed() -> None:
    rights = re.findall(rf"^GRANT .* ON (ragwheel\.\w+) TO {USER};$", DOCUMENT, re.MULTILINE)
    assert rights
    for target in set(rights):
        fewer = "\n".join(
            line for line in DOCUMENT.splitlines() if f"ON {target} TO {USER}" not in line
        )
        grants = Grants(fewer, "wheel")
        asked = [
            sql.format(columns="index") if name == "COPY" else sql for name, sql in SENT.items()
        ]
        assert any(grants.refused(USER, sql) for sql in asked), target


def test_it_may_not_erase() -> None:
    assert GRANTS.refused(USER, "ALTER TABLE index_entries DELETE WHERE 1")
