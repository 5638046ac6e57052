"""What of a query's grades is learnt, how strongly, and what is left alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.rigs.trainer_world import NOON, graded

from ragwheel.trainers.data.examples import TrainingExample, build_examples
from ragwheel.trainers.data.records import Corpus, IndexSlice, SampledQuery

CORPUS = Corpus(tuple(f"c{number}" for number in range(8)), ("",) * 8)
Grades = Mapping[str, tuple[int, float]]
"""Chunk → its grade and the belief that it is relevant."""


def query(name: str, *shown: str, probability: float = 1.0, segment: str = "all") -> SampledQuery:
    return SampledQuery(name, name, name, segment, NOON, "all", probability, 1, shown, NOON)


def built(
    of: Mapping[str, Grades],
    *queries: SampledQuery,
    corpus: Corpus = CORPUS,
    endorsed: frozenset[tuple[str, str]] = frozenset(),
) -> tuple[tuple[TrainingExample, ...], dict[str, int]]:
    pairs = [
        graded(name, chunk, grade)
        for name, grades in of.items()
        for chunk, (grade, _) in grades.items()
    ]
    examples, dropped = build_examples(
        queries,
        pairs,
        lambda name, chunk: of[name][chunk][1],
        corpus,
        lambda name: f"like {name}",
        endorsed,
    )
    return examples, dict(dropped)


def test_flags_that_are_believed_are_learnt_and_doubtful_pairs_are_left_alone() -> None:
    grades = {
        "c0": (3, 0.9), "c1": (2, 0.4), "c2": (3, 0.2), "c3": (1, 0.0), "c4": (0, 0.01),
        "c5": (0, 0.6),
    }  # fmt: skip
    [example], dropped = built({"q": grades}, query("q", "c6", *grades))
    assert example.positives == (("c0", 3, 0.9), ("c1", 2, 0.4))
    assert example.negatives == ("c4",)
    # Not graded, grade 1, a flag and a 0 that are doubted: none of them is a negative.
    assert example.ignored == ("c2", "c3", "c5", "c6")
    assert example.cluster == "like q"
    assert dropped == {
        "flags that are not believed": 1, "pairs of grade 1": 1, "grades of 0 that are doubted": 1,
    }  # fmt: skip


def test_a_citation_is_learnt_only_where_a_grade_confirms_it() -> None:
    grades = {"c0": (2, 0.1), "c1": (3, 0.9), "c2": (1, 0.0), "c3": (0, 0.0), "c4": (0, 0.0)}
    cited = frozenset({("q", "c0"), ("q", "c2"), ("q", "c3"), ("q", "c5"), ("other", "c4")})
    [example], dropped = built({"q": grades}, query("q", "c5", *grades), endorsed=cited)
    # A flag that is doubted and a citation agree; beliefs that are higher stay as they are.
    assert example.positives == (("c0", 2, 0.3), ("c1", 3, 0.9))
    # A citation that its grade contradicts, or that nobody graded, is neither.
    assert {"c2", "c3", "c5"} <= {*example.ignored}
    # What another query cited is a negative by its own grade.
    assert example.negatives == ("c4",)
    assert dropped == {"cited or clicked, and not relevant by its grade": 2}


def test_what_is_not_cited_is_no_negative() -> None:
    grades = {"c0": (3, 0.9), "c1": (3, 0.9)}
    of, shown = {"q": grades}, query("q", "c0", "c1", "c2")
    silent, _ = built(of, shown)
    cited, _ = built(of, shown, endorsed=frozenset({("q", "c0")}))
    assert cited == silent
    assert cited[0].negatives == ()


def test_a_query_without_a_believed_positive_is_counted_and_not_learnt() -> None:
    examples, dropped = built(
        {"a": {"c0": (3, 0.1)}, "b": {"c0": (3, 1.0)}}, query("a"), query("b")
    )
    assert [each.query_hash for each in examples] == ["b"]
    assert dropped["queries without a positive that is believed"] == 1


def test_a_query_weighs_the_chance_that_any_of_its_positives_is_right() -> None:
    of = {"a": {"c0": (3, 0.5), "c1": (3, 0.5)}, "b": {"c0": (3, 1.0)}}
    [first, second], _ = built(of, query("a"), query("b"))
    assert first.weight / second.weight == pytest.approx(0.75)
    assert first.weight + second.weight == pytest.approx(2)


def test_a_rarely_sampled_query_stands_for_those_that_were_not_drawn() -> None:
    of = {"a": {"c0": (3, 1.0)}, "b": {"c0": (3, 1.0)}}
    [rare, common], _ = built(of, query("a", probability=0.25), query("b"))
    assert rare.weight / common.weight == pytest.approx(4)


def test_one_query_never_outweighs_all_others() -> None:
    of = {f"q{number:02d}": {"c0": (3, 1.0)} for number in range(50)}
    queries = [query(name, probability=1e-6 if name == "q00" else 1.0) for name in of]
    examples, _ = built(of, *queries)
    assert examples[0].weight < 10.5
    assert sum(each.weight for each in examples) == pytest.approx(50)


def test_more_traffic_never_trains_on_fewer_positives() -> None:
    of: dict[str, Grades] = {f"q{n:03d}": {f"c{n % 3}": (3, 1.0)} for n in range(200)}
    kept = [
        sum(len(each.positives) for each in built(of, *(query(name) for name in [*of][:n]))[0])
        for n in (50, 100, 200)
    ]
    assert kept == [50, 100, 200]


def test_chunks_of_other_indexes_are_neither_learnt_nor_pushed_away() -> None:
    slices = IndexSlice("left", "1", 0, 4), IndexSlice("right", "1", 4, 8)
    corpus = Corpus(CORPUS.chunk_hashes, CORPUS.texts, slices, {"all": "right"})
    grades = {"c0": (3, 1.0), "c1": (0, 0.0), "c5": (3, 1.0)}
    [example], dropped = built({"q": grades}, query("q", "c2", "c6"), corpus=corpus)
    assert example.positives == (("c5", 3, 1.0),)
    assert example.negatives == ()
    assert example.ignored == ("c6",)
    assert dropped["pairs whose chunk is not in the index"] == 2
