"""The parser: a grade is read where it was given properly, and nowhere else."""

import json
import random
from collections.abc import Callable

import pytest

from ragwheel.grading.asking.answer import ANSWER_SCHEMA, MAX_ANSWER_CHARS, parse

_IDS = ("bcdf", "ghjk", "mnpq")


def _text(*entries: object) -> str:
    return json.dumps({"grades": list(entries)})


def _entry(opaque: str, grade: object) -> dict[str, object]:
    return {"id": opaque, "grade": grade}


_GOOD = _text(_entry("bcdf", 3), _entry("ghjk", 0), _entry("mnpq", 1))
_GOOD_GRADES = {"bcdf": 3, "ghjk": 0, "mnpq": 1}


def test_a_proper_answer_is_read_in_full() -> None:
    read = parse(_GOOD, _IDS)
    assert read.grades == _GOOD_GRADES
    assert read.rejected == {}
    assert read.invented == 0


@pytest.mark.parametrize(
    "wrap", ["  {}\n", "```json\n{}\n```", "```\n{}\n```", "\n```json  \n{}\n```\n"]
)
def test_white_space_and_one_code_fence_are_tolerated(wrap: str) -> None:
    assert parse(wrap.replace("{}", _GOOD), _IDS).grades == _GOOD_GRADES


def test_more_fields_do_not_hurt() -> None:
    text = json.dumps({"note": "n", "grades": [{"id": "bcdf", "grade": 2, "why": "it says 3"}]})
    assert parse(text, ("bcdf",)).grades == {"bcdf": 2}


def test_a_missing_id_is_left_open_and_the_others_count() -> None:
    read = parse(_text(_entry("bcdf", 3), _entry("mnpq", 1)), _IDS)
    assert read.grades == {"bcdf": 3, "mnpq": 1}
    assert read.rejected == {"ghjk": "the answer leaves it out"}


def test_an_invented_id_counts_for_nothing() -> None:
    read = parse(_text(_entry("bcdf", 3), _entry("xxxx", 1)), ("bcdf", "ghjk"))
    assert read.grades == {"bcdf": 3}
    assert read.invented == 1
    assert set(read.rejected) == {"ghjk"}


@pytest.mark.parametrize("second", [0, 3, "3", None])
def test_an_id_given_twice_has_no_grade_even_if_both_agree(second: object) -> None:
    read = parse(_text(_entry("bcdf", 3), _entry("ghjk", 1), _entry("bcdf", second)), _IDS[:2])
    assert read.grades == {"ghjk": 1}
    assert "more than once" in read.rejected["bcdf"]


@pytest.mark.parametrize(
    "grade",
    [
        "3",
        "2 or 3",
        2.0,
        2.5,
        True,
        False,
        None,
        4,
        -1,
        10**30,
        [3],
        {"grade": 3},
        "",
        "three",
        1e400,
    ],
)
def test_a_grade_of_another_type_or_range_is_no_grade(grade: object) -> None:
    read = parse(_text(_entry("bcdf", grade), _entry("ghjk", 2)), _IDS[:2])
    assert read.grades == {"ghjk": 2}
    assert "not 0, 1, 2 or 3" in read.rejected["bcdf"]


@pytest.mark.parametrize("opaque", [7, None, ["bcdf"], {"a": 1}, True, " bcdf", "BCDF"])
def test_an_id_of_another_type_or_spelling_names_nobody(opaque: object) -> None:
    read = parse(_text({"id": opaque, "grade": 3}), ("bcdf",))
    assert read.grades == {}


@pytest.mark.parametrize(
    "text",
    [
        # Answers that a digit-hunting parser takes for a grade.
        "The passage speaks to 3 of the aspects but never answers it.\n##final score: 0",
        "I cannot help with that request (error 2025).",
        "I'm sorry, I can't assist with that.",
        "##final score: 2",
        "3",
        '"3"',
        "bcdf: 3, ghjk: 0",
        f"Sure! {_GOOD}",
        f"{_GOOD}\nI hope that helps.",
        f"{_GOOD}{_GOOD}",
        f"For example {_GOOD} but I will not grade these.",
        f"```json\n{_GOOD}\n```\nand\n```json\n{_GOOD}\n```",
        _GOOD[:-1],
        _GOOD[:-2],
        "[" + _GOOD + "]",
        json.dumps([_entry("bcdf", 3)]),
        json.dumps({"bcdf": 3}),
        json.dumps({"grades": {"bcdf": 3}}),
        json.dumps({"Grades": [_entry("bcdf", 3)]}),
        json.dumps({"answer": {"grades": [_entry("bcdf", 3)]}}),
        '{"grades": [{"id": "bcdf", "grade": 3, "grade": 0}]}',
        '{"grades": [], "grades": [{"id": "bcdf", "grade": 3}]}',
        '{"grades": [{"id": "bcdf", "grade": 03}]}',
        "{'grades': [{'id': 'bcdf', 'grade': 3}]}",
        "null",
        "NaN",
        "",
        "   ",
        "評分：3",
        "\x00",
        "[" * 100_000,
        '{"grades":' * 2_000,
        " " * MAX_ANSWER_CHARS + _GOOD,
    ],
)
def test_what_is_not_the_agreed_form_has_no_grade_at_all(text: str) -> None:
    read = parse(text, _IDS)
    assert read.grades == {}
    assert set(read.rejected) == set(_IDS)


def test_no_answer_is_no_grade() -> None:
    assert set(parse(None, _IDS).rejected) == set(_IDS)


def test_reasons_can_be_stored_whatever_the_model_wrote() -> None:
    read = parse('{"grades": [{"id": "bcdf", "grade": "\\ud800 \\u0000"}]}', ("bcdf",))
    assert read.rejected["bcdf"].isascii()


def test_the_schema_asks_for_what_the_parser_accepts() -> None:
    item = ANSWER_SCHEMA["properties"]["grades"]["items"]
    assert item["properties"]["grade"] == {"type": "integer", "enum": [0, 1, 2, 3]}
    assert item["additionalProperties"] is False


# The fuzz. Each mutation returns an answer and the ids that it still grades properly; every other
# id must come back without a grade, and the proper ones with exactly their grade or, where the
# mutation spoils the whole answer, with none. "Wrong but valid" means a grade the answer did not
# give in the agreed form.
_Grades = dict[str, int]
_Mutation = Callable[[random.Random, _Grades], tuple[str, _Grades]]


def _entries(grades: _Grades) -> list[dict[str, object]]:
    return [_entry(opaque, grade) for opaque, grade in grades.items()]


def _without(grades: _Grades, gone: str) -> _Grades:
    return {opaque: grade for opaque, grade in grades.items() if opaque != gone}


def _cut(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    text = _text(*_entries(grades))
    return text[: dice.randrange(len(text))], {}


def _prose(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    before = dice.choice(
        ["Here you go: ", "Grade 3!\n", "答案 2 ", "<think>3, 2, 1</think>", "1. "]
    )
    after = dice.choice(["", "\nDone, all 3.", " // 0-3"])
    return before + _text(*_entries(grades)) + after, {}


def _drop(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    kept = _without(grades, dice.choice(list(grades)))
    return _text(*_entries(kept)), kept


def _invent(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    extra = [_entry(f"z{dice.randrange(10**6)}", dice.randrange(4)) for _ in range(3)]
    listed = _entries(grades) + extra
    dice.shuffle(listed)
    return _text(*listed), grades


def _double(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    twice = dice.choice(list(grades))
    listed = [*_entries(grades), _entry(twice, dice.choice([0, 1, 2, 3, "3", None]))]
    dice.shuffle(listed)
    return _text(*listed), _without(grades, twice)


def _other_type(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    spoilt = dice.choice(list(grades))
    bad = dice.choice(["3", 3.0, True, None, [2], {"grade": 2}, -1, 4, 99, "2/3", 2.5, "high"])
    listed = [
        _entry(opaque, bad if opaque == spoilt else grade) for opaque, grade in grades.items()
    ]
    return _text(*listed), _without(grades, spoilt)


def _refuse(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    code, name = dice.randrange(4), next(iter(grades))
    sentences = [f"I cannot grade {name} (error {code}).", f"Policy {code}: refused.", f"{code}"]
    return dice.choice(sentences), {}


def _nest(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    depth = dice.choice([1, 3, 50, 5_000])
    inner = _text(*_entries(grades))
    return '{"a":' * depth + inner + "}" * depth, {}


def _repeat_key(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    name, grade = dice.choice(list(grades.items()))
    spoilt = f'{{"id": "{name}", "grade": {grade}, "grade": {dice.randrange(4)}}}'
    return _text(*_entries(grades)).replace(json.dumps(_entry(name, grade)), spoilt), {}


def _run_away(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    return _text(*_entries(grades)) + " " * MAX_ANSWER_CHARS + str(dice.randrange(4)), {}


def _noise(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    letters = '{}[]":,0123 gradesid' + "".join(grades) + "é評\x00\ud800"
    return "".join(dice.choices(letters, k=dice.randrange(400))), {}


def _insert(dice: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    """A character outside JSON's grammar anywhere outside a text: nothing may be read."""
    text = _text(*_entries(grades))
    places = [index for index, letter in enumerate(text) if letter in "{}[]:,"]
    place = dice.choice(places)
    return text[:place] + dice.choice(["x", "'", "}", "]", ";", "=", "3x"]) + text[place:], {}


def _proper(_: random.Random, grades: _Grades) -> tuple[str, _Grades]:
    return _text(*_entries(grades)), grades


_MUTATIONS: tuple[_Mutation, ...] = (
    _cut, _prose, _drop, _invent, _double, _other_type, _refuse, _nest, _repeat_key, _run_away,
    _noise, _insert, _proper,
)  # fmt: skip


def test_twelve_thousand_spoilt_answers_yield_no_wrong_but_valid_grade() -> None:
    dice = random.Random(20_261_123)
    letters = "bcdfghjkmnpqrstvwxz"
    accepted = 0
    for number in range(13_000):
        ids = {"".join(dice.choices(letters, k=4)) for _ in range(dice.randint(1, 10))}
        grades = {opaque: dice.randrange(4) for opaque in sorted(ids)}
        mutate = _MUTATIONS[number % len(_MUTATIONS)]
        text, proper = mutate(dice, grades)
        read = parse(text, grades.keys())
        assert read.grades == proper, (mutate.__name__, text[:300])
        assert read.grades.keys() | read.rejected.keys() == grades.keys()
        assert read.grades.keys().isdisjoint(read.rejected)
        accepted += len(read.grades)
    assert accepted > 10_000  # the parser does read what is proper
