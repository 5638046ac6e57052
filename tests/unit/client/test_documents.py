"""The guide's code runs, and its names and those of the mapping exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from tests.rigs.fake_producer import FakeProducer

import ragwheel.client
from ragwheel.backends import kafka
from ragwheel.client import RagwheelClient
from ragwheel.schemas.events import (
    Candidate,
    ChunkEvent,
    FeedbackEvent,
    Label,
    QueryEvent,
    RetrievalEvent,
)
from ragwheel.schemas.loading import known_variables

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "instrumentation.md").read_text("utf-8")
MAPPING = (DOCS / "event-mapping.md").read_text("utf-8")
_FIRST = "Query and retrieval"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def first_columns(heading: str) -> set[str]:
    """Names in the first column of the table below a heading."""
    section = MAPPING.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_of_the_guide_compiles_and_uses_what_exists(
    block: str, client: RagwheelClient
) -> None:
    tree = compile(block, "guide", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    assert isinstance(tree, ast.Module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "ragwheel":
                assert hasattr(ragwheel.client, node.attr), node.attr
            elif node.value.id == "q":
                assert hasattr(client.query("x"), node.attr), node.attr


def test_the_first_example_runs(
    client: RagwheelClient, producer: FakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("query", "feedback"):
        monkeypatch.setattr(ragwheel.client, name, getattr(client, name))
    service: dict[str, Any] = {
        "search": lambda _question, k: [(f"c-{n}", 1 / n, f"text {n}") for n in range(1, k + 1)],
        "generate": lambda _question, hits: ("an answer", [hit[0] for hit in hits[:2]]),
    }
    exec(BLOCKS[0], service)  # noqa: S102 - our own documentation
    text, query_id = service["answer"]("how do I rotate a key?", "u-1")
    service["on_thumbs_up"](query_id)
    assert text == "an answer"
    events = producer.records()
    assert [type(event) for event in events] == [
        QueryEvent, FeedbackEvent, FeedbackEvent, RetrievalEvent, FeedbackEvent,
    ]  # fmt: skip
    (retrieval,) = (event for event in events if isinstance(event, RetrievalEvent))
    assert [c.in_context for c in retrieval.candidates] == [True] * 5 + [False] * 15
    assert client.stats().total.invalid == 0


def test_the_example_of_a_services_own_test_passes_and_can_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a producer was opened")

    monkeypatch.setattr(kafka, "producer", opened)
    service: dict[str, Any] = {
        "search": lambda _question, k: [(f"c-{n}", 1 / n, f"text {n}") for n in range(1, k + 1)],
        "generate": lambda _question, hits: ("an answer", [hit[0] for hit in hits[:2]]),
    }
    (example,) = (block for block in BLOCKS if "def test_" in block)
    exec(BLOCKS[0], service)  # noqa: S102 - our own documentation
    exec(example, service)  # noqa: S102
    (test,) = (thing for name, thing in service.items() if name.startswith("test_"))
    test()
    service["generate"] = lambda _question, _hits: ("an answer without citations", [])
    with pytest.raises(AssertionError):
        test()


def test_settings_that_the_guide_names_exist() -> None:
    assert set(re.findall(r"RAGWHEEL_[A-Z_]+[A-Z]", GUIDE)) <= known_variables()


def test_the_mapping_covers_every_field_that_a_service_sends() -> None:
    named = {name.replace("candidates[]", "candidates") for name in first_columns(_FIRST)}
    ours = QueryEvent.model_fields.keys() | RetrievalEvent.model_fields.keys()
    assert named >= ours - {"event", "schema_version"}
    assert named - ours == {f"candidates.{field}" for field in Candidate.model_fields}


@pytest.mark.parametrize(("heading", "model"), [("Feedback", FeedbackEvent), ("Labels", Label)])
def test_every_name_of_the_mapping_is_a_field(heading: str, model: Any) -> None:
    named = first_columns(heading)
    assert named
    assert named <= model.model_fields.keys()


def test_the_mapping_describes_chunks_by_their_fields() -> None:
    (listed,) = re.findall(r"A ChunkEvent \(([^)]+)\)", MAPPING)
    assert set(re.findall(r"`(\w+)`", listed)) <= ChunkEvent.model_fields.keys()


@pytest.mark.parametrize("page", ["instrumentation.md", "event-mapping.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", (DOCS / page).read_text("utf-8")):
        assert (DOCS / target).exists(), target
