"""docs/wire.md is enough to write every topic: its tables and rules are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from ragwheel.schemas import identity, limits
from ragwheel.schemas.settings import IntakeSettings
from ragwheel.schemas.topics import DAY_S, SERVICE_TOPICS, TOPICS

PAGE = (Path(__file__).parents[3] / "docs/wire.md").read_text("utf-8")


def test_the_table_of_topics_is_the_registry() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([\w, ]+) \| `?([\w' ]+?)`? \| (\d+) \| (\d+) days \|$", PAGE, re.MULTILINE
    )
    expected = [
        (
            topic.name,
            topic.key if topic.name != "deadletters" else "the original's",
            str(topic.partitions),
            str(topic.retention_s // DAY_S),
        )
        for topic in TOPICS.values()
    ]
    assert [(name, key, partitions, days) for name, _, key, partitions, days in rows] == expected
    assert [name for name, by, *_ in rows if by == "services"] == list(SERVICE_TOPICS)


def test_limits_are_those_of_the_code() -> None:
    assert f"at most {limits.MAX_EVENT_BYTES // 2**20} MiB" in PAGE
    assert f"at most {limits.MAX_DEPTH} levels" in PAGE
    assert f"up to {limits.MAX_ID_CHARS} characters" in PAGE
    rules = IntakeSettings()
    assert f"more than {rules.max_event_age_days} days old" in PAGE
    assert rules.max_event_ahead_s == 3_600
    assert "more than an hour ahead" in PAGE


def test_every_kind_of_message_is_named() -> None:
    tags = {tag for topic in TOPICS.values() for tag in topic.models}
    assert {tag for tag in tags if f"`{tag}`" not in PAGE} == set()


def test_the_fields_of_each_digest_are_those_of_the_code() -> None:
    for name, kind in (("job_id", "job"), ("label_id", "label"), ("dead_letter_id", "deadletter")):
        assert f"`{name}` = (`{kind}`" in PAGE
    assert identity.job_id("e", "label") == identity.digest("job", "e", "label")
    fields = ("q", "c", "1", "g", "judge")
    assert identity.label_id(*fields) == identity.digest("label", *fields)
    assert identity.dead_letter_id("queries", 1, 2, 3) == identity.digest(
        "deadletter", "queries", "1", "2", "3"
    )
