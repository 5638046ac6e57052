"""Rubrics: versions, segments, and errors that name the file and the fix."""

from pathlib import Path

import pytest
from tests.unit.grading.scripted import job

from ragwheel.grading.asking import rubric_file, rubric_folder
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
    rubrics = rubric_folder.load()
    assert rubrics.of("anything") is rubrics.of("default")
    assert rubrics.of("default").version.startswith("chunk-answers-query@")
    assert {example.grade for example in rubrics.of("default").examples} >= {0, 3}


def test_a_file_takes_over_its_segment_and_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "tools.toml").write_text(_TOML)
    rubrics = rubric_folder.load(tmp_path)
    assert rubrics.of("tools").name == "tools"
    assert rubrics.of("default").name == "chunk-answers-query"
    assert [segment for segment, _ in rubrics.items()] == ["tools", "*"]


def test_a_file_for_any_segment_replaces_the_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(_TOML.replace('["tools"]', '["*"]'))
    assert rubric_folder.load(tmp_path).of("default").name == "tools"


def test_layout_and_segments_leave_the_version_and_any_word_changes_it() -> None:
    version = rubric_file.parse(_TOML, "a").version
    assert rubric_file.parse("# a comment\n" + _TOML, "a").version == version
    assert rubric_file.parse(_TOML.replace('["tools"]', '["x", "y"]'), "a").version == version
    for old, new in [
        ("near", "close"),
        ("Find", "Get"),
        ("sum(a", "add(a"),
        ("grade = 3", "grade = 2"),
    ]:
        assert rubric_file.parse(_TOML.replace(old, new), "a").version != version


def test_two_rubrics_cannot_claim_one_segment(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(_TOML)
    (tmp_path / "two.toml").write_text(_TOML.replace('"tools"', '"other"', 1))
    with pytest.raises(ConfigError, match="both claim segment 'tools'"):
        rubric_folder.load(tmp_path)


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
        ("task =", 'shows = ["session"]\ntask =', "jobs do not carry"),
    ],
)
def test_a_broken_rubric_is_refused_with_its_source_and_the_fix(
    old: str, new: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=r"my\.toml") as caught:
        rubric_file.parse(_TOML.replace(old, new), "my.toml")
    assert told in str(caught.value)


def test_a_missing_folder_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RAGWHEEL_RUBRIC_DIR"):
        rubric_folder.load(tmp_path / "absent")


def test_every_shipped_rubric_says_its_grades_and_shows_both_sides_of_the_boundary() -> None:
    known = rubric_folder.known_rubrics()
    assert len(known) == 6
    for rubric in known.values():
        assert {1, 2} <= {example.grade for example in rubric.examples}, rubric.name
    assert len({meaning for rubric in known.values() for meaning in rubric.grades}) == 6 * 4


def test_all_mistakes_of_a_file_are_found_at_once() -> None:
    text = _TOML.replace('1 = "near"', "").replace("grade = 3", "grade = 9").replace("task", "tsak")
    rubric, mistakes = rubric_file.read_rubric(text, "my.toml")
    assert rubric is None
    assert [mistake.split(" ")[0] for mistake in mistakes] == [
        "unknown", "task", "[grades]", "example",
    ]  # fmt: skip
    assert "did you mean 'task'?" in mistakes[0]


def test_a_folder_gives_segments_to_shipped_rubrics_by_name(tmp_path: Path) -> None:
    (tmp_path / "segments.toml").write_text('agents = "tool-does-request"')
    rubrics = rubric_folder.load(tmp_path)
    assert rubrics.of("agents").name == "tool-does-request"
    assert rubrics.of("default").name == "chunk-answers-query"


def test_an_assignment_to_no_rubric_and_a_rubric_without_segment_are_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "own.toml").write_text(_TOML.replace('segments = ["tools"]', ""))
    with pytest.raises(ConfigError, match="grades no segment"):
        rubric_folder.load(tmp_path)
    (tmp_path / "segments.toml").write_text('x = "tools"\ny = "absent"')
    with pytest.raises(ConfigError, match="'y' is given to 'absent'"):
        rubric_folder.load(tmp_path)


def test_what_is_shown_beside_the_query_is_part_of_version_and_of_the_question() -> None:
    plain = rubric_file.parse(_TOML, "a")
    shows = rubric_file.parse(_TOML.replace("task =", 'shows = ["segment", "index"]\ntask ='), "a")
    one = job().model_copy(update={"segment": "tools", "index": "docs"})
    other = one.model_copy(update={"index": "wiki"})
    assert shows.version != plain.version
    assert shows.context_of(one) == (("segment", "tools"), ("index", "docs"))
    assert shows.version_for(one) != shows.version_for(other)
    assert plain.version_for(one) == plain.version_for(other) == plain.version
