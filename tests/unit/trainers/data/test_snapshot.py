"""A snapshot: what is in it, what it is called, and whether held-out queries can be seen in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from tests.rigs.trainer_world import NOON, graded, recipe

from ragwheel.schemas import identity
from ragwheel.trainers.data.records import Corpus, Grade, IndexSlice, SampledQuery
from ragwheel.trainers.data.snapshot import Snapshot, build_snapshot, leaks
from ragwheel.trainers.data.split import Membership, Part, Sides

CHUNKS = ("c0", "c1", "c2", "c3")
CORPUS = Corpus(CHUNKS, tuple(f"text of {chunk}" for chunk in CHUNKS))


def query(text: str, segment: str = "default") -> SampledQuery:
    return SampledQuery(
        identity.query_hash(text), text, "id", segment, NOON, "all", 0.5, 1, CHUNKS, NOON
    )


ONE, TWO, DEV, GATE, ASIDE = map(query, ("one", "two", "dev", "gate", "aside"))
QUERIES = [ONE, TWO, DEV, GATE, ASIDE]
PARTS: tuple[Part, ...] = ("train", "train", "dev", "gate", "aside")
SIDES = Sides({
    each.query_hash: Membership(each.query_hash, part)
    for each, part in zip(QUERIES, PARTS, strict=True)
})  # fmt: skip


def pair(of: SampledQuery, chunk: str, grade: int) -> Grade:
    return graded(of.query_hash, chunk, grade, "labeler")


PAIRS = [
    pair(ONE, "c0", 3), pair(ONE, "c1", 0), pair(ONE, "c2", 0), pair(TWO, "c1", 2),
    pair(TWO, "c3", 1), pair(DEV, "c0", 3), pair(GATE, "c0", 3), pair(GATE, "c2", 0),
]  # fmt: skip


def snapshot(
    pairs: Sequence[Grade] = PAIRS, queries: Sequence[SampledQuery] = QUERIES,
    sides: Sides = SIDES, corpus: Corpus = CORPUS,
) -> Snapshot:  # fmt: skip
    return build_snapshot(queries, sides, pairs, None, corpus, recipe())


def test_parts_are_those_of_the_sides_and_aside_is_used_by_neither() -> None:
    found = snapshot([*PAIRS, pair(ASIDE, "c0", 3)])
    assert {each.query_hash for each in found.train} == {ONE.query_hash, TWO.query_hash}
    assert [each.query_hash for each in found.dev] == [DEV.query_hash]
    assert found.gate == (GATE,)


def test_every_sampled_held_out_query_is_in_the_gate_even_without_a_positive() -> None:
    assert snapshot([pair(ONE, "c0", 3)]).gate == (GATE,)


def test_a_chunk_that_answers_a_held_out_query_is_learnt_all_the_same() -> None:
    # T1: it was barred, and the more traffic there was, the less was learnt.
    [example] = (each for each in snapshot().train if each.query_hash == ONE.query_hash)
    assert [each.chunk_hash for each in example.positives] == ["c0"]


def test_more_labels_never_train_on_fewer_positives() -> None:
    def positives(count: int) -> int:
        rng = random.Random(0)
        asked = [query(f"question {number}") for number in range(1_000)]
        sides = {each.query_hash: Membership(each.query_hash, "train") for each in asked}
        for each in asked[::3]:
            sides[each.query_hash] = Membership(each.query_hash, "gate")
        pairs = [pair(each, rng.choice(CHUNKS), 3) for each in asked]
        found = snapshot(pairs[:count], asked[:count], Sides(sides))
        return sum(len(each.positives) for each in found.train)

    assert [positives(count) for count in (100, 300, 1_000)] == [66, 200, 666]


def test_what_is_believed_decides_what_is_learnt() -> None:
    doubt = build_snapshot(
        QUERIES, SIDES, PAIRS, lambda _, chunk: 0.9 if chunk == "c0" else 0.1, CORPUS, recipe()
    )
    assert [each.query_hash for each in doubt.train] == [ONE.query_hash]
    beliefs = {each.said.chunk_hash: each.belief for each in doubt.evidence}
    assert beliefs == {"c0": 0.9, "c1": 0.1, "c2": 0.1, "c3": 0.1}


def test_dev_examples_take_grades_at_their_word_whatever_is_believed() -> None:
    doubted = build_snapshot(QUERIES, SIDES, PAIRS, lambda *_: 0.1, CORPUS, recipe())
    [example] = doubted.dev
    assert [(each.chunk_hash, each.belief) for each in example.positives] == [("c0", 1.0)]
    assert doubted.train == ()


def test_equal_data_has_equal_ids_in_any_order() -> None:
    shuffled = build_snapshot(
        QUERIES[::-1], Sides(dict(sorted(SIDES.of.items()))), PAIRS[::-1], None, CORPUS, recipe()
    )
    assert shuffled == snapshot()


def _rejudged() -> Snapshot:
    return snapshot([*PAIRS[:-1], pair(GATE, "c2", 1)])


@pytest.mark.parametrize(
    "other",
    [
        lambda: snapshot(PAIRS[:-1]),
        _rejudged,
        lambda: snapshot(queries=[*QUERIES[:-1], replace(ASIDE, inclusion_probability=0.6)]),
        lambda: snapshot(sides=Sides({**SIDES.of, "gone": Membership("gone", "gate")})),
        # T14: the id was equal with 2 and with 1,002 chunks.
        lambda: snapshot(corpus=Corpus((*CHUNKS, "c4"), (*CORPUS.texts, "more"))),
        lambda: snapshot(corpus=Corpus(CHUNKS, CORPUS.texts, (IndexSlice("i", "v2", 0, 4),))),
        lambda: build_snapshot(QUERIES, SIDES, PAIRS, None, CORPUS, recipe("other")),
        lambda: build_snapshot(QUERIES, SIDES, PAIRS, None, CORPUS, recipe()._replace(seed=1)),
        lambda: build_snapshot(QUERIES, SIDES, PAIRS, lambda *_: 0.5, CORPUS, recipe()),
    ],
)
def test_other_data_has_another_id(other: Callable[[], Snapshot]) -> None:
    assert other().snapshot_id != snapshot().snapshot_id


def test_a_snapshot_of_sides_has_no_leak() -> None:
    assert leaks(snapshot()) == []


def test_a_held_out_paraphrase_of_a_trained_query_is_a_leak() -> None:
    planted = Sides({**SIDES.of, GATE.query_hash: Membership(ONE.query_hash, "gate")})
    [leak] = leaks(snapshot(sides=planted))
    assert GATE.query_hash in leak
    assert "cluster" in leak


def test_a_held_out_spelling_of_a_trained_query_is_a_leak() -> None:
    again = query("One?!")
    sides = Sides({**SIDES.of, again.query_hash: Membership(again.query_hash, "gate")})
    [leak] = leaks(snapshot(queries=[*QUERIES, again], sides=sides))
    assert "spelling" in leak


def test_the_card_counts() -> None:
    card = build_snapshot(
        QUERIES, Sides({**SIDES.of, TWO.query_hash: Membership(ONE.query_hash, "train")}),
        [*PAIRS, replace(PAIRS[1], grade=3, role="second")], None, CORPUS, recipe(),
        dropped={"grades by a judge": 7}, noise={"*": {"false_positive_rate": 0.1}},
    ).card  # fmt: skip
    assert card.queries == {"train": 2, "dev": 1, "gate": 1, "aside": 1}
    assert card.examples == {"train": 2, "dev": 1}
    assert card.clusters == {"train": 1, "dev": 1, "gate": 1, "aside": 1}
    assert (card.near_duplicates, card.largest_cluster) == (1, 2)
    assert card.grades == {0: 2, 1: 2, 2: 1, 3: 3}
    assert card.sources == {"llm": 8}
    assert card.disputed == 1
    assert card.ungraded_pairs == 20 - 8
    assert card.endorsed == {"confirmed": 0, "disputed": 0, "ungraded": 0}
    assert card.triplets == 1
    assert card.dropped["grades by a judge"] == 7
    assert card.graders == ("labeler",)
    assert card.segments["default"].positives == 2
    assert card.as_json()["grades"] == {"0": 2, "1": 2, "2": 1, "3": 3}
    text = "\n".join(card.lines())
    assert "7 grades by a judge" in text
    assert "false positive rate 0.10" in text
    assert "! one cluster holds 40%" in text


def test_the_card_counts_citations_by_what_their_grade_says() -> None:
    cited = {(ONE.query_hash, "c0"), (ONE.query_hash, "c1"), (TWO.query_hash, "c3"),
             (DEV.query_hash, "c2")}  # fmt: skip
    card = build_snapshot(QUERIES, SIDES, PAIRS, None, CORPUS, recipe(), endorsed=cited).card
    assert card.endorsed == {"confirmed": 1, "disputed": 2, "ungraded": 1}
    assert "confirmed 1, disputed 2, ungraded 1" in "\n".join(card.lines())


def test_citations_do_not_change_what_systems_are_compared_by() -> None:
    graded_zero = pair(DEV, "c2", 0)
    plain = build_snapshot(QUERIES, SIDES, [*PAIRS, graded_zero], None, CORPUS, recipe())
    cited = build_snapshot(
        QUERIES, SIDES, [*PAIRS, graded_zero], None, CORPUS, recipe(),
        endorsed={(DEV.query_hash, "c2"), (ONE.query_hash, "c1")},
    )  # fmt: skip
    assert cited.dev == plain.dev
    assert cited.train != plain.train


def test_the_card_fits_a_terminal_whatever_is_in_it() -> None:
    asked = [query(f"question {number}", f"segment {number}") for number in range(30)]
    sides = Sides({each.query_hash: Membership(asked[0].query_hash, "train") for each in asked})
    card = build_snapshot(
        asked, sides, [pair(each, "c0", 3) for each in asked], None, CORPUS, recipe(),
        dropped={f"reason {number}": number + 1 for number in range(20)},
        noise={"*": {"false_positive_rate": 0.1, "false_share": 0.4}},
        endorsed={(asked[0].query_hash, "c0")},
    ).card  # fmt: skip
    lines = card.lines()
    assert len(lines) <= 15
    assert any("27 more segments" in line for line in lines)
    assert any("20 reason 19" in line for line in lines)
