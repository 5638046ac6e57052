"""What is kept how long is said in the migrations, the registry and the documents: the same."""

from __future__ import annotations

import re

from tests.rigs.house import ROOT

from ragwheel.schemas.migrations import migrations
from ragwheel.schemas.tables import ALL_TABLES, TABLES_OF_TOPIC
from ragwheel.schemas.topics import DAY_S, TOPICS

#: No text of traffic or corpus: ids, figures, offsets, hashes, verdicts.
WITHOUT_TEXTS = {
    "index_entries", "indexes", "models", "model_metrics", "gate_queries", "accounts_state",
    "reembeds", "forgotten",
}  # fmt: skip


def ttl_days() -> dict[str, int]:
    """Table → days from landing, 0: for good."""
    ddl = "".join(migration.up for migration in migrations())
    made = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)(.*?);\n", ddl, re.DOTALL)
    found = {}
    for table, body in made:
        ttl = re.search(r"^TTL landed_at \+ INTERVAL (\d+) DAY$", body, re.MULTILINE)
        assert ttl or "TTL" not in body, table
        found[table] = int(ttl[1]) if ttl else 0
    return found


def test_every_table_with_texts_expires() -> None:
    found = ttl_days()
    assert found.keys() == {table.name for table in ALL_TABLES}
    assert {table for table, days in found.items() if not days} == WITHOUT_TEXTS


def test_the_registry_says_the_ttl_of_the_tables() -> None:
    found = ttl_days()
    for topic in TOPICS.values():
        assert found[topic.table] == topic.table_ttl_days, topic.name


def test_the_privacy_page_says_of_every_table_how_long_it_is_kept() -> None:
    page = (ROOT / "docs/privacy.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\d+|for good) \| (\d*) ?\|$", page, re.MULTILINE)
    topic_of = {
        table.name: TOPICS[name]
        for name, tables in reversed(TABLES_OF_TOPIC.items())
        for table in tables
    }
    said = {table: (days, kafka) for table, days, kafka in rows}
    assert said == {
        table: (
            str(days or "for good"),
            str(topic_of[table].retention_s // DAY_S) if table in topic_of else "",
        )
        for table, days in ttl_days().items()
    }


def test_operations_name_the_same_days() -> None:
    page = " ".join((ROOT / "docs/operations.md").read_text("utf-8").split())
    table_days = ttl_days()
    kafka = {name: topic.retention_s // DAY_S for name, topic in TOPICS.items()}
    assert (
        f"Kafka keeps service events for {kafka['queries']} days, grading jobs for "
        f"{kafka['grading']}, labels and dead letters for {kafka['labels']}, model events for "
        f"{kafka['models']}; ClickHouse keeps queries, retrievals, feedback and jobs for "
        f"{table_days['queries']} days, dead letters for {table_days['dead_letters']}, chunks and "
        f"labels for {table_days['labels']}, and models for good" in page
    )
