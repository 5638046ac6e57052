"""Committed schemas, documents and examples are what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from ragwheel.schemas import deadletters, events, export, wire
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import DeadLetter, DeadLetterReason, Record
from ragwheel.schemas.loading import known_variables
from ragwheel.schemas.metrics import ALL_METRICS
from ragwheel.schemas.topics import SERVICE_TOPICS, TOPIC_OF_EVENT, TOPICS, Topic, TopicName

ROOT = Path(__file__).parents[3]
EXAMPLES = Path(events.__file__).parent / "examples"
VALID = sorted(EXAMPLES.glob("*/1/*.json"))
INVALID = sorted(EXAMPLES.glob("*/1/invalid/*"))


def name_of(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


def topic_of(path: Path) -> Topic:
    name = path.relative_to(EXAMPLES).parts[0]
    assert name in TOPICS
    return TOPICS[name]


def schema_of(topic: TopicName) -> dict[str, Any]:
    return schema_of_model(TOPICS[topic], TOPICS[topic].model)


def schema_of_model(topic: Topic, model: type[Record]) -> dict[str, Any]:
    loaded = orjson.loads(export.json_schema(topic, model))
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("path", export.files(ROOT), ids=lambda path: path.name)
def test_the_committed_file_is_what_the_code_prints(path: Path) -> None:
    printed = export.files(ROOT)[path]
    assert path.read_text("utf-8") == printed, "run `python -m ragwheel.schemas.export`"


def test_no_schema_file_is_left_over() -> None:
    assert set(export.JSON_DIR.iterdir()) == {p for p in export.files(ROOT) if p.suffix == ".json"}


def test_checking_tells_what_differs_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["--root", str(tmp_path), "--check"]) == 1
    assert "differs: " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert export.main(["--root", str(tmp_path)]) == 0
    assert (tmp_path / "docs/settings.md").read_text("utf-8") == export.settings_page()
    assert export.main(["--root", str(tmp_path), "--check"]) == 0


def test_every_setting_and_metric_is_in_its_page() -> None:
    listed = set(re.findall(r"^\| `(RAGWHEEL_\w+)`", export.settings_page(), re.MULTILINE))
    assert listed == known_variables()
    listed = set(re.findall(r"^\| `(ragwheel_\w+)`", export.metrics_page(), re.MULTILINE))
    assert listed == {metric.name for metric in ALL_METRICS}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_schema_describes_its_fields_tag_and_extension(topic: TopicName) -> None:
    for model in TOPICS[topic].keys:
        schema = schema_of_model(TOPICS[topic], model)
        assert schema["properties"].keys() == model.model_fields.keys()
        assert TOPIC_OF_EVENT[schema["properties"]["event"]["const"]] == topic
        assert "event" in schema["required"]
        assert schema["additionalProperties"] is True


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_a_valid_example_passes_and_survives_the_wire(path: Path) -> None:
    topic = topic_of(path)
    if topic.name == "deadletters":
        letter = DeadLetter.model_validate_json(path.read_bytes())
        headers = deadletters.to_headers(letter)
        again = deadletters.from_message(
            letter.key, letter.payload, headers, position=(0, 0), timestamp_ms=0
        )
        assert again == letter
        return
    record = wire.decode_value(topic, path.read_bytes())
    sent = wire.encode(record)
    assert wire.decode(topic, wire.key_of(topic, record), sent) == record
    assert includes(orjson.loads(sent), orjson.loads(path.read_bytes()))


def includes(kept: Any, said: Any) -> bool:
    """Whether nothing that was said is lost or changed, but for times, which are kept in UTC."""
    if isinstance(said, dict):
        return all(
            key in kept and (key in {"ts", "graded_at"} or includes(kept[key], value))
            for key, value in said.items()
        )
    if isinstance(said, list):
        return len(kept) == len(said) and all(map(includes, kept, said))
    return bool(kept == said)


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_an_invalid_example_is_refused_for_the_reason_in_its_name(path: Path) -> None:
    reason = path.name.partition(".")[0]
    assert reason in get_args(DeadLetterReason)
    with pytest.raises(InvalidEventError) as refused:
        wire.decode_value(topic_of(path), path.read_bytes())
    assert refused.value.reason == reason


def test_every_example_is_used_and_every_topic_has_some() -> None:
    vectors = EXAMPLES / "identities.json"  # tests/unit/schemas/test_identity.py
    assert {path for path in EXAMPLES.rglob("*") if path.is_file()} == {*VALID, *INVALID, vectors}
    assert {topic_of(path).name for path in VALID} == set(TOPICS)
    assert set(SERVICE_TOPICS) <= {topic_of(path).name for path in INVALID}
