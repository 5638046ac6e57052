"""Is a candidate better than what serves? A look for nothing, then a judge, then the gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ragwheel.models.encoder import VectorError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.believing import Setting, between, judgments_believed, middle_of_results
from ragwheel.trainers.contest import (
    CANDIDATE,
    INCUMBENT,
    METRIC_DEPTH,
    Contest,
    compare,
    dev_lists,
    gate_queries,
    trained_rows,
)
from ragwheel.trainers.data.beliefs import Beliefs
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof import evaluation, gate
from ragwheel.trainers.proof.equivalence import check_equivalence
from ragwheel.trainers.proof.evaluation import Figure, RankShift
from ragwheel.trainers.proof.gate import Costs
from ragwheel.trainers.proof.guards import GateRules
from ragwheel.trainers.proof.judging import Judged, judge_jobs
from ragwheel.trainers.proof.looks import alpha_left
from ragwheel.trainers.reading import CycleData
from ragwheel.trainers.systems.dense import EncoderSystem
from ragwheel.trainers.systems.lineup import Lineup
from ragwheel.trainers.systems.observed import Agreement, agreement


@dataclass(frozen=True, slots=True)
class Proof:
    """What a gate came to.

    Attributes:
        figures: the leaderboard; empty when no judge was asked.
        looked_at: gate queries that a judge decided on.
        said: what was looked at on the way, in words.
    """

    verdict: gate.Verdict
    figures: tuple[Figure, ...] = ()
    shifts: tuple[RankShift, ...] = ()
    agreement: Agreement | None = None
    looked_at: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


def prove(
    parts: Parts,
    settings: TrainerSettings,
    data: CycleData,
    lineup: Lineup,
    candidate: EncoderSystem,
    seconds: dict[str, float],
    kept: float = 1.0,
    costs: Callable[[], Costs] = Costs,
) -> Proof:
    """Decide on a candidate.

    Args:
        costs: measures what it costs to serve; a budget refuses what nobody measured.
        kept: share of its training that dev queries bear out.
        seconds: the wall time of each stage is noted in it.

    Raises:
        UnavailableError: the judge cannot be asked.
    """
    rules = _rules(settings)
    with timed(seconds, "evaluate"):
        try:
            loss, dev = _why_not(data, lineup, candidate, kept, settings.train_seed)
            price = Costs() if loss else costs()
            contest = loss or gate.over_budget(rules, price) or compare(
                data.held_out, data.corpus,
                {INCUMBENT: lineup.incumbent, CANDIDATE: candidate, **lineup.others},
                settings.judge_depth,
            )  # fmt: skip
        except VectorError as error:
            contest, dev = f"a query cannot be embedded by the candidate: {error}", ""
    if isinstance(contest, str):
        return Proof(gate.Verdict("refused", contest, 0.0, 0.0, 0), said=(dev,) if dev else ())
    found = agreement(lineup.observed, contest.rankings[INCUMBENT], contest.asked)
    with timed(seconds, "judge"):
        pools = contest.pools()
        jobs = judge_jobs(candidate.name, data.held_out, pools, data.corpus)
        judged = parts.judge(jobs, lambda *at: parts.progress("judge", *at))
    with timed(seconds, "gate"):
        proof = _decide(parts, settings, data, lineup, contest, judged, found, price)
    size = sum(map(len, pools)) / max(1, len(pools))
    pooled = (
        f"pool       top {contest.depth} of {INCUMBENT} and {CANDIDATE}, top {METRIC_DEPTH} of "
        f"{', '.join(sorted(lineup.others))}: {size:.1f} chunks a query"
    )
    return replace(proof, said=(dev, pooled, *proof.said))


def _rules(settings: TrainerSettings) -> GateRules:
    return GateRules(
        min_queries=settings.gate_min_queries,
        max_latency_ms=settings.max_query_latency_ms,
        max_size_mb=settings.max_model_mb,
    )


def _why_not(
    data: CycleData, lineup: Lineup, candidate: EncoderSystem, kept: float, seed: int
) -> tuple[str, str]:
    """Why no judge is worth its price, or nothing; and what the dev queries say."""
    if candidate.name == lineup.serving:
        return "nothing new was learnt: this is the model in service, so do nothing", ""
    if kept == 0:
        return "dev queries bear out nothing of the training, so do nothing", ""
    lists = dev_lists(data.snapshot.dev, data.corpus, lineup.incumbent, candidate)
    checked = check_equivalence(lists, seed=seed)
    dev = (
        f"dev        nDCG@10 over graded chunks {checked.change:+.3f}, {checked.queries:,} queries"
    )
    return checked.refusal, dev


def _decide(
    parts: Parts,
    settings: TrainerSettings,
    data: CycleData,
    lineup: Lineup,
    contest: Contest,
    judged: Judged,
    found: Agreement,
    costs: Costs,
) -> Proof:
    beliefs = _believed(parts, lineup, contest, judged)
    pairs = contest.judged_pairs(judged, beliefs)
    snapshot = data.snapshot
    measured = contest.measure(
        pairs,
        gate_queries(contest.queries, snapshot.sides),
        trained_rows(snapshot.train, data.corpus),
    )
    rules = _rules(settings)
    asked = [each.query_hash for each in contest.queries]
    verdict = gate.decide(
        measured, rules, seed=settings.train_seed, incumbent=INCUMBENT, candidate=CANDIDATE,
        alpha=alpha_left(parts.past_gates(), asked, rules.alpha).alpha,
        label_graders=frozenset(snapshot.card.graders), judge_grader=judged.grader_id,
        costs=costs,
    )  # fmt: skip
    if verdict.action == "promoted" and not found.believed:
        verdict = replace(verdict, action="shadow", reason=f"{found}. Measured: {verdict.reason}")
    figures = tuple(evaluation.figures(measured, INCUMBENT, CANDIDATE, settings.train_seed))
    # A gate that nobody judged is no look.
    looked_at = tuple(asked) if judged.judgments else ()
    coverage = ", ".join(f"{name} {of.judged:.2f}" for name, of in measured.coverage.items())
    said = (
        f"judged@10  {coverage}",
        f"answers    {measured.without_relevant:,} of {len(asked):,} gate queries have no relevant "
        "chunk in any system's results, and are left out",
        f"production {found}",
        f"serving    {costs}",
    )
    return Proof(verdict, figures, contest.shifts(pairs), found, looked_at, said)


def _believed(parts: Parts, lineup: Lineup, contest: Contest, judged: Judged) -> Beliefs:
    """How far the judge is believed of each pair."""
    texts = [each.query for each in contest.queries]
    rivals = [contest.systems[name] for name in (INCUMBENT, CANDIDATE)]
    vectors = [
        each.encode(texts)
        for each in rivals
        if isinstance(each, EncoderSystem) and each.documents is lineup.documents
    ]
    rankings = [contest.rankings[name] for name in (INCUMBENT, CANDIDATE)]
    # Only systems over the same vectors of documents have a middle; one of two would be favoured.
    middle = (
        between(*vectors)
        if len(vectors) == len(rivals)
        else middle_of_results(lineup.documents, rankings)
    )
    where = Setting(contest.queries, middle, contest.corpus, lineup.documents)
    return judgments_believed(where, judged, parts.store.decoys(), rankings)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note the block's wall time in `seconds`; a stage that fails ends the cycle."""
    began = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - began
