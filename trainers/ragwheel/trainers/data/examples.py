"""From grades and beliefs to a training set: what is learnt, pushed away and left alone. Pure.

- Positive: flagged (grade 2 or 3) and believed at least `BELIEVED`; it pulls with
  belief · (2^grade − 1).
- Negative: grade 0, hence retrieved and found irrelevant, and not believed to be relevant all the
  same.
- *Endorsed*, cited by an answer or clicked by a user: no positive by itself, because what is shown
  first is cited and clicked first. With a flag it is learnt even if the flag alone is not believed;
  without one the two disagree, and the pair is ignored. What is not cited is no negative.
- Ignored: everything else that was shown. Grade 1, flags that are not believed, grades of 0 that
  are doubted and ungraded candidates are neither, and are taken out of the loss of their query.
  Counting them as negatives would teach the ranker the holes of the labeling.
- Chunks that were never logged for a query are random negatives: any single one is almost surely
  irrelevant, and they enter the loss with ordinary weight.

A query weighs what is known of it: 1 − Π(1 − belief), the chance that any of its positives is
right, times 1 / inclusion probability, so that segments count as they do in traffic.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.trainers.data.records import Corpus, SampledQuery

#: A flag is learnt from this belief on; below it, it is ignored.
BELIEVED = 0.3
#: The weight of a query is at most this many times the median: one rare segment must not be all.
_HEAVIEST = 10.0


class Graded(Protocol):
    """What counts of a pair's grades."""

    @property
    def query_hash(self) -> str:
        """Of the query."""

    @property
    def chunk_hash(self) -> str:
        """Of the chunk."""

    @property
    def grade(self) -> int:
        """0-3."""


class Positive(NamedTuple):
    """A chunk to be learnt.

    Attributes:
        belief: how likely it is truly relevant, `BELIEVED` to 1.
    """

    chunk_hash: str
    grade: int
    belief: float


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One query with everything that is known about its chunks; hashes are sorted.

    Attributes:
        cluster: its cluster of near-duplicates; the query's own hash when nothing is known.
        weight: of its loss; the mean over a training set is 1.
        negatives: chunks of grade 0.
        ignored: chunks that were shown and are neither.
    """

    query_hash: str
    query: str
    segment: str
    cluster: str
    weight: float
    positives: tuple[Positive, ...]
    negatives: tuple[str, ...]
    ignored: tuple[str, ...]


def build_examples(
    queries: Sequence[SampledQuery],
    evidence: Iterable[Graded],
    believed: Callable[[str, str], float],
    corpus: Corpus,
    cluster_of: Callable[[str], str] = str,
    endorsed: Set[tuple[str, str]] = frozenset(),
) -> tuple[tuple[TrainingExample, ...], Counter[str]]:
    """Examples of the queries that have a positive, sorted by query hash.

    Args:
        queries: of one part of the split.
        believed: (query hash, chunk hash) → how likely the pair is relevant.
        corpus: chunks that the index of the query's segment does not hold (deleted or edited
            since, or of another index) are left out.
        cluster_of: query hash → cluster.
        endorsed: (query hash, chunk hash) that an answer cited or a user clicked.

    Returns:
        The examples, and why queries and pairs were left out: reason → how many.
    """
    grades: dict[str, list[Graded]] = defaultdict(list)
    for each in evidence:
        grades[each.query_hash].append(each)
    endorsed_of: dict[str, set[str]] = defaultdict(set)
    for query_hash, chunk_hash in endorsed:
        endorsed_of[query_hash].add(chunk_hash)
    dropped: Counter[str] = Counter()
    examples = []
    for query in sorted(queries, key=lambda each: each.query_hash):
        name = query.query_hash
        made = _example(query, grades[name], believed, corpus, endorsed_of[name], dropped)
        if made.positives:
            examples.append(replace(made, cluster=cluster_of(query.query_hash)))
        else:
            dropped["queries without a positive that is believed"] += 1
    return _with_mean_weight_one(examples), dropped


def _example(
    query: SampledQuery,
    grades: Iterable[Graded],
    believed: Callable[[str, str], float],
    corpus: Corpus,
    endorsed: Set[str],
    dropped: Counter[str],
) -> TrainingExample:
    positives, negatives, ignored = [], [], set()
    for each in grades:
        if corpus.row_of(query.segment, each.chunk_hash) is None:
            dropped["pairs whose chunk is not in the index"] += 1
            continue
        belief = believed(query.query_hash, each.chunk_hash)
        is_endorsed = each.chunk_hash in endorsed
        if each.grade >= RELEVANT_GRADE and (belief >= BELIEVED or is_endorsed):
            # Two that agree are learnt, as cautiously as the least that is believed.
            positives.append(Positive(each.chunk_hash, each.grade, max(belief, BELIEVED)))
        elif each.grade == 0 and belief < BELIEVED and not is_endorsed:
            negatives.append(each.chunk_hash)
        else:
            ignored.add(each.chunk_hash)
            dropped[_why_ignored(each.grade, is_endorsed)] += 1
    shown = {chunk for chunk in query.shown if corpus.row_of(query.segment, chunk) is not None}
    ignored |= shown - {each.chunk_hash for each in positives} - {*negatives}
    sure = 1.0 - float(np.prod([1.0 - each.belief for each in positives]))
    return TrainingExample(
        query.query_hash, query.query, query.segment, query.query_hash,
        sure / query.inclusion_probability,
        tuple(sorted(positives)), tuple(sorted(negatives)), tuple(sorted(ignored)),
    )  # fmt: skip


def _why_ignored(grade: int, is_endorsed: bool) -> str:
    if grade >= RELEVANT_GRADE:
        return "flags that are not believed"
    if is_endorsed:
        return "cited or clicked, and not relevant by its grade"
    return "pairs of grade 1" if grade else "grades of 0 that are doubted"


def _with_mean_weight_one(examples: Sequence[TrainingExample]) -> tuple[TrainingExample, ...]:
    if not examples:
        return ()
    weights = np.array([each.weight for each in examples])
    weights = np.minimum(weights, _HEAVIEST * np.median(weights))
    weights /= weights.mean()
    return tuple(
        replace(each, weight=float(weight)) for each, weight in zip(examples, weights, strict=True)
    )
