"""All systems of a gate on the held-out queries: what they rank, what a judge has to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ragwheel.measuring.nearest import RankedRows
from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.trainers.data.beliefs import Beliefs
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus, SampledQuery
from ragwheel.trainers.data.split import Sides
from ragwheel.trainers.proof import evaluation
from ragwheel.trainers.proof.equivalence import GradedList
from ragwheel.trainers.proof.evaluation import GateQueries, JudgedPair, Measurement, RankShift
from ragwheel.trainers.proof.judging import Judged
from ragwheel.trainers.systems.contracts import Asked, Ranking, Retriever
from ragwheel.trainers.systems.dense import EncoderSystem

#: The two that a verdict is about; the others stand beside them on the leaderboard.
INCUMBENT, CANDIDATE = "incumbent", "candidate"
#: Results that the metrics look at.
METRIC_DEPTH = evaluation.METRIC_DEPTH


@dataclass(frozen=True, slots=True)
class Contest:
    """Rankings of the same queries by every system.

    Attributes:
        systems: by name, the incumbent and the candidate among them.
        depth: results of incumbent and candidate that are judged; of the others, those that the
            metrics look at.
    """

    queries: tuple[SampledQuery, ...]
    asked: tuple[Asked, ...]
    corpus: Corpus = field(repr=False)
    systems: Mapping[str, Retriever]
    rankings: Mapping[str, Ranking]
    depth: int

    def pools(self) -> list[list[int]]:
        """Per query, the corpus rows that a judge has to see."""
        return evaluation.pool(
            [
                ranking.rows[:, : self.depth if name in (INCUMBENT, CANDIDATE) else METRIC_DEPTH]
                for name, ranking in self.rankings.items()
            ],
            self.depth,
        )

    def judged_pairs(self, judged: Judged, beliefs: Beliefs) -> list[dict[int, JudgedPair]]:
        """Per query, corpus row → what the judge said of it, and how far that is believed."""
        position = {each.query_hash: at for at, each in enumerate(self.queries)}
        found: list[dict[int, JudgedPair]] = [{} for _ in self.queries]
        for each in judged.judgments:
            at = position[each.query_hash]
            row = self.corpus.row_of(self.queries[at].segment, each.chunk_hash)
            if each.grade is not None and row is not None:
                belief = beliefs.of(each.query_hash, each.chunk_hash)
                found[at][row] = JudgedPair(each.grade, belief)
        return found

    def measure(
        self, pairs: Sequence[Mapping[int, JudgedPair]], of: GateQueries, trained: Set[int]
    ) -> Measurement:
        """Metrics of every system."""
        rows = {name: ranking.rows for name, ranking in self.rankings.items()}
        return evaluation.score(rows, pairs, of, trained)

    def shifts(self, pairs: Sequence[Mapping[int, JudgedPair]]) -> tuple[RankShift, ...]:
        """Ranks before and after, in the whole index, of every pair that was judged relevant.

        Empty where one of the two is no encoder: what is not ranked has no rank.
        """
        before, after = self.systems[INCUMBENT], self.systems[CANDIDATE]
        if not isinstance(before, EncoderSystem) or not isinstance(after, EncoderSystem):
            return ()
        relevant = [
            (query, row)
            for query, of_query in enumerate(pairs)
            for row, pair in sorted(of_query.items())
            if pair.grade >= RELEVANT_GRADE
        ]
        was, now = before.ranks(self.asked, relevant), after.ranks(self.asked, relevant)
        return tuple(
            RankShift(
                self.queries[query].query, self.queries[query].query_hash,
                self.corpus.chunk_hashes[row], self.queries[query].segment, int(old), int(new),
            )
            for (query, row), old, new in zip(relevant, was, now, strict=True)
        )  # fmt: skip


def compare(
    queries: Sequence[SampledQuery], corpus: Corpus, systems: Mapping[str, Retriever], depth: int
) -> Contest:
    """Let every system rank the queries."""
    asked = tuple(asked_of(each) for each in queries)
    depth = max(depth, METRIC_DEPTH)
    rankings = {name: system.rank(asked, depth) for name, system in systems.items()}
    return Contest(tuple(queries), asked, corpus, systems, rankings, depth)


def asked_of(query: SampledQuery | TrainingExample) -> Asked:
    """A query as systems get it."""
    return Asked(query.query_hash, query.query, query.segment)


def dev_lists(
    examples: Sequence[TrainingExample],
    corpus: Corpus,
    before: EncoderSystem,
    after: EncoderSystem,
) -> list[GradedList]:
    """The graded chunks of each dev query, as both systems score them."""
    known = [_graded_rows(example, corpus) for example in examples]
    asked = [asked_of(example) for example in examples]
    scores = [system.scores(asked, [list(rows) for rows in known]) for system in (before, after)]
    clusters = _numbers([example.cluster for example in examples])
    firsts = [system.rank(asked, METRIC_DEPTH).rows for system in (before, after)]
    return [
        GradedList(
            list(rows.values()), old, new, int(cluster), example.weight,
            hits=(_hit(rows, first_old), _hit(rows, first_new)),
        )
        for example, cluster, rows, old, new, first_old, first_new in zip(
            examples, clusters, known, *scores, *firsts, strict=True
        )
    ]  # fmt: skip


def _hit(known: Mapping[int, JudgedPair], first: RankedRows) -> bool:
    """Whether a chunk that was called relevant is among the first results."""
    return any(row in known and known[row].grade >= RELEVANT_GRADE for row in first.tolist())


def _graded_rows(example: TrainingExample, corpus: Corpus) -> dict[int, JudgedPair]:
    pairs = [(each.chunk_hash, JudgedPair(each.grade, each.belief)) for each in example.positives]
    pairs += [(chunk, JudgedPair.certain(0)) for chunk in example.negatives]
    rows = ((corpus.row_of(example.segment, chunk), pair) for chunk, pair in pairs)
    return {row: pair for row, pair in rows if row is not None}


def trained_rows(examples: Sequence[TrainingExample], corpus: Corpus) -> frozenset[int]:
    """Corpus rows that were positives in training: their recall is shown by itself."""
    rows = (corpus.row_of(each.segment, chunk) for each in examples for chunk, *_ in each.positives)
    return frozenset(row for row in rows if row is not None)


def gate_queries(queries: Sequence[SampledQuery], sides: Sides) -> GateQueries:
    """What the gate knows of its queries: segments, clusters, and what each stands for."""
    chances = np.array([each.inclusion_probability for each in queries], np.float64)
    weights = 1.0 / np.clip(chances, 1e-6, 1.0)
    return GateQueries.of(
        [each.segment for each in queries],
        _numbers([sides.leader(each.query_hash) for each in queries]),
        weights / weights.mean() if len(queries) else weights,
    )


def _numbers(clusters: Sequence[str]) -> npt.NDArray[np.int64]:
    """Equal numbers for equal clusters."""
    return np.unique(np.array(clusters, object), return_inverse=True)[1].astype(np.int64)
