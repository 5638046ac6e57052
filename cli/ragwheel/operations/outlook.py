"""Where the wheel stands: what the labels open, what they could prove, when it trains next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.contest import gate_queries
from ragwheel.trainers.data.records import SampledQuery
from ragwheel.trainers.data.sides import SIDES_FILE, read_sides
from ragwheel.trainers.data.split import Membership, Sides, part_of
from ragwheel.trainers.evaluating import read_evaluation
from ragwheel.trainers.ladder import Rung, standing
from ragwheel.trainers.proof.guards import GateRules
from ragwheel.trainers.proof.looks import alpha_left
from ragwheel.trainers.proof.power import PartPower, outlook
from ragwheel.trainers.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class TrainOutlook:
    """What `ragwheel train status` shows.

    Attributes:
        answered: queries with a relevant label.
        due: whether a training begins at the next look of the trainer.
        reason: why, or what is missing.
        opened: what these labels make possible; None below the first step of the ladder.
        next_step: of the ladder; None at the top.
        queries: sampled queries per part. Those of before the first training are dealt as if none
            were near to another.
        look: of the next gate in its series, 1 after a promotion.
        alpha: accepted probability that it promotes a model that is no better.
        parts: what the held-out queries could prove, all of them first, then by segment.
        shadows: ids of candidates that are judged again as labels arrive.
        serving: the promoted model; None: the base model.
        evaluation: the newest report of what is in service, in lines; empty before it.
    """

    answered: int
    due: bool
    reason: str
    opened: str | None
    next_step: Rung | None
    queries: dict[str, int]
    look: int
    alpha: float
    parts: Sequence[PartPower]
    shadows: Sequence[str]
    serving: str | None
    evaluation: Sequence[str]


def outlook_of(scheduler: Scheduler) -> TrainOutlook:
    """Read labels, sides and the memory; nothing is embedded, trained or judged.

    Raises:
        SidesError: the sides on disk are damaged.
        UnavailableError: ClickHouse does not answer.
    """
    parts, settings = scheduler.parts, scheduler.settings
    answered = parts.store.count_answered()
    progress = scheduler.progress()
    reached, ahead = standing(answered)
    queries = parts.store.sampled_queries()
    sides = _with_new_ones(read_sides(settings.model_dir / SIDES_FILE), queries, settings)
    held_out = [each for each in queries if sides.part(each.query_hash) == "gate"]
    held_out = held_out[: settings.gate_max_queries]
    rules = GateRules(min_queries=settings.gate_min_queries)
    left = alpha_left(parts.past_gates(), [each.query_hash for each in held_out], rules.alpha)
    evaluated = read_evaluation(settings.model_dir)
    counts = dict.fromkeys(("train", "dev", "gate", "aside"), 0)
    for each in queries:
        counts[sides.part(each.query_hash)] += 1
    return TrainOutlook(
        answered=answered,
        due=progress.due,
        reason=progress.reason,
        opened=reached.opens if reached else None,
        next_step=ahead,
        queries=counts,
        look=left.look,
        alpha=left.alpha,
        parts=outlook(gate_queries(held_out, sides), rules, alpha=left.alpha) if held_out else (),
        shadows=[each.model_id for each in parts.settlement.memory().shadows],
        serving=parts.registry.current_id(),
        evaluation=evaluated.lines() if evaluated else (),
    )


def _with_new_ones(
    known: Sides, queries: Sequence[SampledQuery], settings: TrainerSettings
) -> Sides:
    new = {
        each.query_hash: Membership(each.query_hash, part_of(each.query_hash, settings.gate_share))
        for each in queries
        if each.query_hash not in known.of
    }
    return Sides({**known.of, **new})
