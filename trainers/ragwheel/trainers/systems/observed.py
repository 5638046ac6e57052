"""What production really returned, and whether our reproduction of it returns the same.

The gate compares candidates with a model that we run ourselves. That proves something about the
service only if the service ranks like it, so the logged rankings of the stage that a candidate
would replace are a system too, and the reproduction is held against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragwheel.measuring.nearest import NO_RESULT
from ragwheel.trainers.data.records import Corpus, LoggedRanking
from ragwheel.trainers.systems.contracts import Asked, Ranking, SystemKind

#: The stage that a query encoder replaces, as events call it. `bm25` has no encoder, `fusion` and
#: `rerank` order what earlier stages found.
DENSE_STAGE = "dense"
#: Answers that say which model serves.
_NEWEST_ANSWERS = 50


@dataclass(frozen=True, slots=True)
class AgreementRules:
    """When our reproduction of the model in service is believed.

    Attributes:
        k: results that are compared.
        least_overlap: mean share of production's first k that the reproduction has in its first k.
            An approximate index loses a few per cent, another length limit 10 to 20; another model,
            a missing prompt or a filter far more.
        min_queries: with fewer logged gate queries nothing is said.
    """

    k: int = 10
    least_overlap: float = 0.7
    min_queries: int = 20


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the reproduction returns what production returned.

    Attributes:
        stage: whose rankings were compared; empty when none was logged.
        queries: gate queries with a logged ranking.
        overlap: mean overlap@k over them, 0-1.
        outside: logged results that are no chunk of the index.
        believed: False: the comparison says nothing about the service, and nothing is promoted.
    """

    stage: str
    queries: int
    overlap: float
    outside: int
    k: int
    believed: bool

    def __str__(self) -> str:
        if not self.queries:
            return "no gate query has a logged ranking: what production returns is not known"
        found = f"overlap@{self.k} {self.overlap:.2f} on {self.queries} queries"
        if self.believed:
            return f"our reproduction of the incumbent agrees with production ({found})"
        return (
            f"our reproduction of the incumbent disagrees with what production returned ({found}, "
            f"stage {self.stage}): nothing is promoted on it. Likely: another model or revision "
            "than RAGWHEEL_BASE_MODEL, or a promoted one that is not deployed; a prompt "
            "(RAGWHEEL_QUERY_PROMPT, RAGWHEEL_DOCUMENT_PROMPT) or length "
            "(RAGWHEEL_MAX_SEQ_LENGTH) that differs; filters; a reranker logged as this stage"
        )


class ObservedSystem:
    """A `Retriever` of logged rankings. A query without one has no results."""

    name = "observed"
    kind: SystemKind = "observed"

    def __init__(self, stage: str, logged: Sequence[LoggedRanking], corpus: Corpus) -> None:
        """Of `logged`, only rankings of `stage` count, and of a query the newest."""
        self.stage = stage
        self._corpus = corpus
        self._newest: dict[str, LoggedRanking] = {}
        for each in sorted(logged, key=lambda ranking: ranking.ts):
            if each.stage == stage:
                self._newest[each.query_hash] = each

    def rank(self, queries: Sequence[Asked], depth: int) -> Ranking:
        """What was logged; results that the index does not hold (any more) are left out."""
        result = Ranking.empty(len(queries), depth)
        for at, query in enumerate(queries):
            kept = [(row, score) for row, score in self._results(query) if row is not None]
            for rank, (row, score) in enumerate(kept[:depth]):
                result.rows[at, rank] = row
                result.scores[at, rank] = score
        return result

    def outside(self, queries: Sequence[Asked]) -> int:
        """How many logged results of these queries are no chunk of their index."""
        return sum(row is None for query in queries for row, _ in self._results(query))

    def _results(self, query: Asked) -> list[tuple[int | None, float]]:
        logged = self._newest.get(query.query_hash)
        if logged is None:
            return []
        rows = (self._corpus.row_of(query.segment, chunk) for chunk in logged.chunk_hashes)
        # RankedScores of production are of any kind and may rise; the order is what was logged.
        return [(row, -float(rank)) for rank, row in enumerate(rows)]


def served_by(logged: Sequence[LoggedRanking]) -> str:
    """The model that production serves, as its newest answers say; empty where none says.

    The most frequent one of the newest: a canary answers a few queries too.
    """
    told = sorted((each for each in logged if each.model_id), key=lambda each: each.ts)
    names = Counter(each.model_id for each in told[-_NEWEST_ANSWERS:])
    return max(sorted(names), key=names.__getitem__, default="")


def replaced_stage(logged: Sequence[LoggedRanking]) -> str:
    """The stage that a trained query encoder would replace; empty when none was logged.

    `dense` by its name, else the most frequent stage that names an embedding model.
    """
    if any(each.stage == DENSE_STAGE for each in logged):
        return DENSE_STAGE
    embedded = Counter(each.stage for each in logged if each.embedding_model)
    return max(sorted(embedded), key=embedded.__getitem__, default="")


def agreement(
    observed: ObservedSystem,
    reproduction: Ranking,
    queries: Sequence[Asked],
    rules: AgreementRules | None = None,
) -> Agreement:
    """Compare the reproduction's ranking of `queries` with what was logged for them."""
    rules = rules or AgreementRules()
    logged = observed.rank(queries, rules.k).rows
    shares = []
    for theirs, ours in zip(logged, reproduction.rows[:, : rules.k], strict=True):
        found = theirs[theirs != NO_RESULT]
        if len(found):
            shares.append(float(np.isin(found, ours).mean()))
    overlap = float(np.mean(shares)) if shares else 0.0
    return Agreement(
        stage=observed.stage,
        queries=len(shares),
        overlap=overlap,
        outside=observed.outside(queries),
        k=rules.k,
        believed=len(shares) < rules.min_queries or overlap >= rules.least_overlap,
    )
