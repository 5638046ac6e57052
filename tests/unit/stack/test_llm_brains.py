"""The graders behind the test server: what they know and how they err."""

from collections import Counter
from pathlib import Path

import pytest

from ragwheel.grading.asking.prompt import PASSAGE_TOKENS, PackLimits, Passage, shown_text
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError
from ragwheel.stack.llm import GoldGrader, OverlapGrader, gold_json, load_gold, passage_key
from ragwheel.stack.llm.brains import Gold

_RIGHT, _SIBLING, _OTHER = "def right(): ...", "def sibling(): ...", "def other(): ..."


def _gold(tmp_path: Path) -> Gold:
    path = tmp_path / "gold.json"
    groups = {_RIGHT: "module a", _SIBLING: "module a", _OTHER: "module b"}
    path.write_bytes(gold_json({"The  Query": [_RIGHT]}, groups))
    return load_gold(path)


def test_without_errors_it_tells_the_truth(tmp_path: Path) -> None:
    grader = GoldGrader(_gold(tmp_path), 0.0)
    assert [grader.grade("m", "the query", text) for text in (_RIGHT, _SIBLING, _OTHER)] == [
        3,
        1,
        0,
    ]
    assert grader.grade("m", "another query", _RIGHT) == 0


def test_a_short_passage_is_named_by_its_content_hash() -> None:
    assert passage_key(_RIGHT) == identity.content_hash(_RIGHT)


def test_a_passage_that_was_cut_is_still_known(tmp_path: Path) -> None:
    long = "x " * (PASSAGE_TOKENS + 100)
    path = tmp_path / "gold.json"
    path.write_bytes(gold_json({"q": [long]}, {}))
    shown = shown_text(Passage("", long), PackLimits())
    assert GoldGrader(load_gold(path), 0.0).grade("m", "q", shown) == 3


def test_errors_come_at_their_rate_and_mostly_land_next_to_the_truth() -> None:
    grader = GoldGrader(Gold({}, {}), 0.1)
    grades = Counter(grader.grade("m", "q", f"passage {n}") for n in range(20_000))
    errors = 20_000 - grades[0]
    # Five standard deviations of the binomial(20000, 0.1).
    assert abs(errors - 2_000) < 212
    # 80 % go to the neighbour, which for 0 is only 1; of the rest a third.
    assert grades[1] / errors == pytest.approx(0.8 + 0.2 / 3, abs=0.05)


def test_a_model_repeats_its_errors_and_two_models_err_independently() -> None:
    grader = GoldGrader(Gold({}, {}), 0.2)
    passages = [f"passage {n}" for n in range(10_000)]

    def wrong(model: str) -> set[str]:
        return {text for text in passages if grader.grade(model, "q", text) != 0}

    labeler, judge = wrong("labeler"), wrong("judge")
    assert wrong("labeler") == labeler
    # Expected overlap of independent errors: 0.2 * 0.2 * 10000, standard deviation 19.6.
    assert abs(len(labeler & judge) - 400) < 98


def test_words_decide_without_gold() -> None:
    grader = OverlapGrader()
    assert grader.grade("m", "read a file", "how to read a file") == 3
    assert grader.grade("m", "read a file", "Read it") == 1
    assert grader.grade("m", "read a file", "nothing") == 0
    assert grader.grade("m", "?", "anything") == 0


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"{}", b'{"relevant": 3}', b'{"relevant": {"q": 3}}']
)
def test_a_broken_gold_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gold.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"gold\.json"):
        load_gold(path)


def test_an_impossible_error_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match="--error-rate"):
        GoldGrader(Gold({}, {}), 1.5)
