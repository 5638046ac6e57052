"""Is a candidate better than what serves? A look for nothing, then a judge, then the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ragwheel.models.encoder import VectorError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.contest import (
    CANDIDATE,
    INCUMBENT,
    Contest,
    compare,
    dev_lists,
    gate_queries,
    trained_rows,
)
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof import evaluation, gate
from ragwheel.trainers.proof.equivalence import check_equivalence
from ragwheel.trainers.proof.evaluation import Figure, RankShift
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
    """

    verdict: gate.Verdict
    figures: tuple[Figure, ...] = ()
    shifts: tuple[RankShift, ...] = ()
    agreement: Agreement | None = None
    looked_at: tuple[str, ...] = ()


def prove(
    parts: Parts,
    settings: TrainerSettings,
    data: CycleData,
    lineup: Lineup,
    candidate: EncoderSystem,
    seconds: dict[str, float],
) -> Proof:
    """Decide on a candidate.

    Args:
        seconds: the wall time of each stage is noted in it.

    Raises:
        UnavailableError: the judge cannot be asked.
    """
    with timed(seconds, "evaluate"):
        try:
            loss = _why_not(data, lineup, candidate, settings.train_seed)
            contest = loss or compare(
                data.held_out, data.corpus,
                {INCUMBENT: lineup.incumbent, CANDIDATE: candidate, **lineup.others},
                settings.judge_depth,
            )  # fmt: skip
        except VectorError as error:
            contest = f"a query cannot be embedded by the candidate: {error}"
    if isinstance(contest, str):
        return Proof(gate.Verdict("refused", contest, 0.0, 0.0, 0))
    found = agreement(lineup.observed, contest.rankings[INCUMBENT], contest.asked)
    with timed(seconds, "judge"):
        jobs = judge_jobs(candidate.name, data.held_out, contest.pools(), data.corpus)
        judged = parts.judge(jobs, lambda *at: parts.progress("judge", *at))
    with timed(seconds, "gate"):
        return _decide(parts, settings, data, contest, judged, found)


def _why_not(data: CycleData, lineup: Lineup, candidate: EncoderSystem, seed: int) -> str:
    """Why no judge is worth its price, or nothing."""
    if candidate.name == lineup.serving:
        return "nothing new was learnt: this is the model in service, so do nothing"
    lists = dev_lists(data.snapshot.dev, data.corpus, lineup.incumbent, candidate)
    return check_equivalence(lists, seed=seed).refusal


def _decide(
    parts: Parts,
    settings: TrainerSettings,
    data: CycleData,
    contest: Contest,
    judged: Judged,
    found: Agreement,
) -> Proof:
    pairs = contest.judged_pairs(judged)
    snapshot = data.snapshot
    measured = contest.measure(
        pairs, gate_queries(contest.queries), trained_rows(snapshot.train, data.corpus)
    )
    rules = GateRules(min_queries=settings.gate_min_queries)
    asked = [each.query_hash for each in contest.queries]
    verdict = gate.decide(
        measured, rules, seed=settings.train_seed, incumbent=INCUMBENT, candidate=CANDIDATE,
        alpha=alpha_left(parts.past_gates(), asked, rules.alpha).alpha,
        label_graders=frozenset(snapshot.card.graders), judge_grader=judged.grader_id,
    )  # fmt: skip
    if verdict.action == "promoted" and not found.believed:
        verdict = replace(verdict, action="shadow", reason=f"{found}. Measured: {verdict.reason}")
    figures = tuple(evaluation.figures(measured, INCUMBENT, CANDIDATE, settings.train_seed))
    # A gate that nobody judged is no look.
    looked_at = tuple(asked) if judged.judgments else ()
    return Proof(verdict, figures, contest.shifts(pairs), found, looked_at)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note the block's wall time in `seconds`; a stage that fails ends the cycle."""
    began = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - began
