"""What may be learnt, what may not, and on which side of the split a query stands."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.rigs.trainer_world import NOON

from ragwheel.schemas import identity
from ragwheel.trainers.data.examples import Snapshot, build_snapshot, leaks
from ragwheel.trainers.data.records import GradedPair, SampledQuery
from ragwheel.trainers.data.split import draw_order, part_of

SHARE = 0.25


def query(text: str, shown: Sequence[str] = ()) -> SampledQuery:
    return SampledQuery(
        identity.query_hash(text), text, f"id of {text}", "default", NOON, "all", 0.5, tuple(shown)
    )


def queries_of(part: str, count: int) -> list[SampledQuery]:
    found: list[SampledQuery] = []
    number = 0
    while len(found) < count:
        candidate = query(f"question {number}", ("c0", "c1", "c2", "c3"))
        if part_of(candidate.query_hash, SHARE) == part:
            found.append(candidate)
        number += 1
    return found


def pair(of: SampledQuery, chunk: str, grade: int) -> GradedPair:
    return GradedPair(of.query_hash, chunk, grade, "labeler")


def snapshot(
    queries: Sequence[SampledQuery],
    pairs: Sequence[GradedPair],
    judged: Sequence[GradedPair] = (),
    known: Sequence[str] = ("c0", "c1", "c2", "c3"),
) -> Snapshot:
    return build_snapshot(queries, pairs, gate_share=SHARE, known_chunks=known, judged=judged)


def test_grades_become_positives_negatives_and_ignored() -> None:
    [train] = queries_of("train", 1)
    found = snapshot([train], [pair(train, "c0", 3), pair(train, "c1", 0), pair(train, "c2", 1)])
    [example] = found.train
    assert example.positives == (("c0", 3),)
    assert example.negatives == ("c1",)
    # Grade 1 and the ungraded c3 are neither.
    assert example.ignored == ("c2", "c3")
    assert found.card.ungraded_pairs == 1


def test_grade_two_is_a_positive_and_a_query_without_any_is_no_example() -> None:
    first, second = queries_of("train", 2)
    found = snapshot([first, second], [pair(first, "c0", 2), pair(second, "c0", 1)])
    assert [example.query_hash for example in found.train] == [first.query_hash]


def test_chunks_that_left_the_corpus_are_left_out() -> None:
    [train] = queries_of("train", 1)
    found = snapshot([train], [pair(train, "gone", 3), pair(train, "c0", 2)])
    assert found.train[0].positives == (("c0", 2),)
    assert "gone" not in {*found.train[0].ignored, *found.train[0].negatives}


def test_every_sampled_held_out_query_is_in_the_gate_even_without_a_positive() -> None:
    gate = queries_of("gate", 3)
    found = snapshot(gate, [pair(gate[0], "c0", 3)])
    assert {each.query_hash for each in found.gate} == {each.query_hash for each in gate}


@pytest.mark.parametrize("part", ["gate", "dev"])
def test_an_answer_of_a_held_out_query_is_never_a_training_positive(part: str) -> None:
    [train], [held_out] = queries_of("train", 1), queries_of(part, 1)
    pairs = [pair(train, "c0", 3), pair(train, "c1", 3), pair(held_out, "c0", 2)]
    found = snapshot([train, held_out], pairs)
    assert found.train[0].positives == (("c1", 3),)
    assert found.card.dropped_positives == 1
    assert leaks(found, pairs) == []


def test_what_the_judge_found_relevant_is_held_out_too() -> None:
    [train], [gate] = queries_of("train", 1), queries_of("gate", 1)
    found = snapshot(
        [train, gate], [pair(train, "c0", 3)], judged=[GradedPair(gate.query_hash, "c0", 3, "j")]
    )
    assert found.train == ()


def test_the_leak_check_finds_a_planted_leak() -> None:
    [train], [gate] = queries_of("train", 1), queries_of("gate", 1)
    pairs = [pair(train, "c0", 3)]
    found = snapshot([train, gate], pairs)
    planted = [*pairs, pair(gate, "c0", 3)]
    [leak] = leaks(found, planted)
    assert "c0" in leak
    assert gate.query_hash in leak


def test_a_query_keeps_its_side_when_data_grows() -> None:
    many = [query(f"question {number}") for number in range(400)]
    small, large = snapshot(many[:100], []), snapshot(many, [])
    for part in ("gate",):
        before = {each.query_hash for each in getattr(small, part)}
        after = {each.query_hash for each in getattr(large, part)}
        assert before <= after
        assert after - before <= {each.query_hash for each in many[100:]}


def test_spellings_of_one_query_are_on_one_side() -> None:
    assert identity.query_hash("How  to PARSE?") == identity.query_hash("how to parse?")


def test_parts_have_the_shares_that_were_asked_for() -> None:
    hashes = [identity.query_hash(f"q{number}") for number in range(8_000)]
    parts = [part_of(each, SHARE) for each in hashes]
    assert parts.count("gate") / 8_000 == pytest.approx(0.25, abs=0.02)
    assert parts.count("dev") / 8_000 == pytest.approx(0.075, abs=0.01)


def test_a_larger_gate_takes_queries_and_gives_none_back() -> None:
    hashes = [identity.query_hash(f"q{number}") for number in range(2_000)]
    small = {each for each in hashes if part_of(each, 0.2) == "gate"}
    assert small < {each for each in hashes if part_of(each, 0.3) == "gate"}


def test_the_draw_order_is_not_the_split() -> None:
    hashes = [identity.query_hash(f"q{number}") for number in range(4_000)]
    gate = [each for each in hashes if part_of(each, SHARE) == "gate"]
    assert sum(draw_order(each) for each in gate) / len(gate) == pytest.approx(0.5, abs=0.04)


def test_equal_data_has_equal_ids_in_any_order_and_other_data_does_not() -> None:
    queries = [*queries_of("train", 3), *queries_of("gate", 2)]
    pairs = [pair(each, "c0", 3) for each in queries_of("train", 3)]
    first = snapshot(queries, pairs)
    second = snapshot(list(reversed(queries)), list(reversed(pairs)))
    assert first == second
    assert snapshot(queries, pairs[:2]).snapshot_id != first.snapshot_id
    assert snapshot(queries[:-1], pairs).snapshot_id != first.snapshot_id


def test_the_data_card_counts() -> None:
    train, gate = queries_of("train", 2), queries_of("gate", 1)
    pairs = [
        pair(train[0], "c0", 3), pair(train[0], "c1", 0), pair(train[0], "c2", 0),
        pair(train[1], "c1", 2), pair(train[1], "c3", 1), pair(gate[0], "c2", 0),
    ]  # fmt: skip
    card = snapshot([*train, *gate], pairs).card
    assert card.queries == {"train": 2, "dev": 0, "gate": 1}
    assert card.examples == {"train": 2, "dev": 0}
    assert card.grades == {0: 3, 1: 1, 2: 1, 3: 1}
    assert card.triplets == 2
    assert card.ungraded_pairs == 1 + 2 + 3
    assert card.graders == ("labeler",)
    assert card.as_json()["grades"] == {"0": 3, "1": 1, "2": 1, "3": 1}
