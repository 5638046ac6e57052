"""What people do with rubrics."""

from pathlib import Path

import pytest

from ragwheel.operations import rubrics
from ragwheel.schemas.errors import ConfigError


def test_the_list_has_segments_first_and_then_what_grades_none(tmp_path: Path) -> None:
    (tmp_path / "segments.toml").write_text('agents = "tool-does-request"')
    lines = rubrics.list_rubrics(tmp_path).lines
    assert [(each.segment, each.name) for each in lines[:2]] == [
        ("agents", "tool-does-request"),
        ("*", "chunk-answers-query"),
    ]
    assert {each.segment for each in lines[2:]} == {""}
    assert len(lines) == 6


def test_a_begun_rubric_is_good_another_version_and_never_written_over(tmp_path: Path) -> None:
    begun = rubrics.begin_rubric("own-tools", "tool-does-request", tmp_path)
    assert rubrics.check_rubrics(None, tmp_path).is_good()
    assert rubrics.find_rubric("own-tools", tmp_path).segments == ("own-tools",)
    found = rubrics.diff_rubrics("tool-does-request", begun.file, None)
    assert found.new_epoch
    assert [(each.part, each.removed, each.added) for each in found.changes] == [
        ("name", "tool-does-request", "own-tools")
    ]
    with pytest.raises(ConfigError, match="exists"):
        rubrics.begin_rubric("own-tools", "tool-does-request", tmp_path)


def test_a_difference_names_the_words_of_each_part(tmp_path: Path) -> None:
    (path,) = [Path(rubrics.begin_rubric("own", "code-does-request", tmp_path).file)]
    path.write_text(path.read_text().replace("Judge by what the code does", "Judge what it does"))
    changes = rubrics.diff_rubrics("code-does-request", str(path), None).changes
    assert [each.part for each in changes] == ["name", "task", "task"]
    assert changes[1].removed == "by"


def test_two_files_that_claim_one_segment_are_a_mistake_between_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        path = Path(rubrics.begin_rubric(name, "code-does-request", tmp_path).file)
        path.write_text(path.read_text().replace(f'["{name}"]', '["code"]'))
    checked = rubrics.check_rubrics(None, tmp_path)
    assert not checked.is_good()
    assert "both claim segment 'code'" in checked.together


def test_the_prompt_of_a_rubric_has_its_task_and_every_grade() -> None:
    shown = rubrics.show_rubric("item-goes-with-item", None)
    assert "a replacement" in shown.prompt
    assert all(f"{grade} = " in shown.prompt for grade in range(4))


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match="tool-does-request"):
        rubrics.show_rubric("tools", None)
