"""What may be learnt of a query, and what may not."""

from __future__ import annotations

from tests.rigs.trainer_world import NOON, graded

from ragwheel.schemas import identity
from ragwheel.trainers.data.evidence import evidence
from ragwheel.trainers.data.examples import TrainingExample, build_examples
from ragwheel.trainers.data.records import Corpus, SampledQuery

CORPUS = Corpus(("c0", "c1", "c2", "c3"), ("",) * 4)


def query(text: str) -> SampledQuery:
    return SampledQuery(
        identity.query_hash(text), text, "id", "default", NOON, "all", 0.5, 1,
        ("c0", "c1", "c2", "c3"), NOON,
    )  # fmt: skip


def example_of(**grades: int) -> TrainingExample | None:
    """The example of a query with these grades per chunk."""
    asked = query("question")
    pairs = [graded(asked.query_hash, chunk, grade) for chunk, grade in grades.items()]
    examples, _ = build_examples(
        [asked], evidence(pairs), lambda _, chunk: float(grades[chunk] >= 2), CORPUS
    )
    return examples[0] if examples else None


def test_grades_become_positives_negatives_and_ignored() -> None:
    example = example_of(c0=3, c1=0, c2=1)
    assert example is not None
    assert example.positives == (("c0", 3, 1.0),)
    assert example.negatives == ("c1",)
    # Grade 1 and the ungraded c3 are neither.
    assert example.ignored == ("c2", "c3")


def test_grade_two_is_a_positive_and_a_query_without_any_is_no_example() -> None:
    assert example_of(c0=2) is not None
    assert example_of(c0=1, c1=0) is None


def test_chunks_that_left_the_corpus_are_left_out() -> None:
    example = example_of(c0=2, gone=3)
    assert example is not None
    assert example.positives == (("c0", 2, 1.0),)
    assert "gone" not in {*example.ignored, *example.negatives}
