"""Rubrics: versions, segments, and errors that name the file and the fix."""

from pathlib import Path

import pytest

from ragwheel.grading.asking import rubric
from ragwheel.schemas.errors import ConfigError

_TOML = """
name = "tools"
segments = ["tools"]
task = "Find the tool."
[grades]
0 = "no"
1 = "near"
2 = "part"
3 = "yes"
[[examples]]
query = "add two numbers"
passage = "sum(a, b)"
grade = 3
"""


def test_the_packaged_rubric_grades_every_segment() -> None:
    rubrics = rubric.load()
    assert rubrics.of("anything") is rubrics.of("default")
    assert rubrics.of("default").version.startswith("chunk-answers-query@")
    assert {example.grade for example in rubrics.of("default").examples} >= {0, 3}


def test_a_file_takes_over_its_segment_and_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "tools.toml").write_text(_TOML)
    rubrics = rubric.load(tmp_path)
    assert rubrics.of("tools").name == "tools"
    assert rubrics.of("default").name == "chunk-answers-query"
    assert len(list(rubrics)) == 2


def test_a_file_for_any_segment_replaces_the_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(_TOML.replace('["tools"]', '["*"]'))
    assert rubric.load(tmp_path).of("default").name == "tools"


def test_layout_and_segments_leave_the_version_and_any_word_changes_it() -> None:
    version = rubric.parse(_TOML, "a").version
    assert rubric.parse("# a comment\n" + _TOML, "a").version == version
    assert rubric.parse(_TOML.replace('["tools"]', '["x", "y"]'), "a").version == version
    for old, new in [
        ("near", "close"),
        ("Find", "Get"),
        ("sum(a", "add(a"),
        ("grade = 3", "grade = 2"),
    ]:
        assert rubric.parse(_TOML.replace(old, new), "a").version != version


def test_two_rubrics_cannot_claim_one_segment(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(_TOML)
    (tmp_path / "two.toml").write_text(_TOML.replace('"tools"', '"other"', 1))
    with pytest.raises(ConfigError, match="both claim segment 'tools'"):
        rubric.load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "tools"', 'name = "a b"', "letters, digits, dashes"),
        ('task = "Find the tool."', "", "task must be a text"),
        ('1 = "near"', "", "each of 0, 1, 2 and 3"),
        ('1 = "near"', '1 = " "', "1 must be a text"),
        ("grade = 3", "grade = 4", "must be 0, 1, 2 or 3"),
        ("grade = 3", "grade = true", "must be 0, 1, 2 or 3"),
        ('query = "add two numbers"', "", "needs query, passage and grade"),
        ("task =", "tsak =", "unknown field 'tsak'"),
        ('segments = ["tools"]', "segments = []", "list of names"),
        ("[grades]", "[grades", "is not TOML"),
    ],
)
def test_a_broken_rubric_is_refused_with_its_source_and_the_fix(
    old: str, new: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=r"my\.toml") as caught:
        rubric.parse(_TOML.replace(old, new), "my.toml")
    assert told in str(caught.value)


def test_a_missing_folder_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RAGWHEEL_RUBRIC_DIR"):
        rubric.load(tmp_path / "absent")
