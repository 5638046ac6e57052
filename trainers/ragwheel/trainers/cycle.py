"""One turn of the wheel: read, train, let all systems rank, judge, decide, settle.

`run_cycle` touches the world only through `Parts`; with an in-memory store and judge it is an
ordinary function, and a test runs it in seconds. `run_again` judges a candidate of an earlier cycle
on the labels that came since, without training.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial

from ragwheel.models.encoder import load_encoder
from ragwheel.models.manifest import TrainConfig
from ragwheel.models.registry import RegisteredModel
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.costs import costs_of
from ragwheel.trainers.data.beliefs import second_look
from ragwheel.trainers.data.snapshot import Snapshot
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.evaluation import Figure, RankShift
from ragwheel.trainers.proof.gate import Verdict
from ragwheel.trainers.proof.judging import second_jobs
from ragwheel.trainers.proving import Proof, prove, timed
from ragwheel.trainers.reading import CycleData, read, read_corpus
from ragwheel.trainers.remake import make_model
from ragwheel.trainers.reporting import in_force_line, model_event, report_of
from ragwheel.trainers.settle import Decision, Look, Shadow
from ragwheel.trainers.systems.dense import EncoderSystem
from ragwheel.trainers.systems.lineup import Lineup, line_up
from ragwheel.trainers.systems.observed import Agreement

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What a cycle did.

    Attributes:
        figures: the leaderboard: metrics of all systems and their differences to the incumbent;
            empty when no judge was asked.
        agreement: whether our reproduction of the incumbent ranks as production does.
        in_force: prompts and length that we embed with, beside what each index declares.
        said: what was learnt from and looked at, in lines for people.
        stage_seconds: wall time per stage, in order.
    """

    model: RegisteredModel
    verdict: Verdict
    event: ModelEvent
    snapshot: Snapshot
    figures: tuple[Figure, ...]
    shifts: tuple[RankShift, ...]
    gate_queries: int
    stage_seconds: dict[str, float]
    agreement: Agreement | None = None
    in_force: dict[str, object] | None = None
    said: tuple[str, ...] = ()


def run_cycle(
    parts: Parts, settings: TrainerSettings, config: TrainConfig | None = None
) -> CycleResult:
    """Train one candidate on all labels, decide about it and settle the decision.

    Args:
        config: hyper-parameters; from the settings when left out.

    Raises:
        NotEnoughDataError: no corpus, no training example or no held-out query.
        ConfigError: the base model cannot be loaded.
        UnavailableError: ClickHouse or Kafka does not answer. A decision that was made is
            finished by the next call of `Settlement.finish`; otherwise nothing happened.
    """
    config = config or TrainConfig(
        epochs=settings.train_epochs, max_seq_length=settings.max_seq_length
    )
    seconds: dict[str, float] = {}
    data, lineup = _begin(parts, settings, config, seconds)
    with timed(seconds, "train"):
        encoder = load_encoder(settings.base_model, config.max_seq_length, settings.prompts)
        model = make_model(
            data.snapshot, encoder, lineup.documents, parts.registry,
            lambda *at: parts.progress("train", *at),
        )  # fmt: skip
    # Not through the cache: nobody has seen these weights, and the fingerprint is of loaded ones.
    candidate = EncoderSystem(
        model.model_id, partial(encoder.encode, side="query"), lineup.documents, data.corpus
    )
    kept = model.manifest.training.get("kept", 1.0)
    costs = partial(costs_of, encoder, model.query_encoder, data.held_out)
    proof = prove(parts, settings, data, lineup, candidate, seconds, kept, costs)
    result = _settle(parts, settings, data, lineup, model, proof, seconds)
    # For the next training: a flag that is doubted may be what there is most to learn from.
    doubted = second_look(data.beliefs, settings.second_looks, data.endorsed)
    snapshot = data.snapshot
    parts.ask(second_jobs(snapshot.snapshot_id, doubted, snapshot.queries, data.corpus))
    return result


def run_again(parts: Parts, settings: TrainerSettings, shadow: Shadow) -> CycleResult:
    """Judge a candidate of an earlier cycle on everything that is known now.

    Raises:
        RegistryError: its model is gone or was changed.
        NotEnoughDataError, ConfigError, UnavailableError: as in `run_cycle`.
    """
    model = parts.registry.get(shadow.model_id)
    parts.registry.verify(shadow.model_id)
    config = model.manifest.config
    seconds: dict[str, float] = {}
    data, lineup = _begin(parts, settings, config, seconds)
    with timed(seconds, "load"):
        encoder = load_encoder(model.query_encoder, config.max_seq_length)
    candidate = EncoderSystem(
        model.model_id, partial(parts.cache.embed, encoder, side="query"),
        lineup.documents, data.corpus,
    )  # fmt: skip
    kept = model.manifest.training.get("kept", 1.0)
    costs = partial(costs_of, encoder, model.query_encoder, data.held_out)
    proof = prove(parts, settings, data, lineup, candidate, seconds, kept, costs)
    return _settle(parts, settings, data, lineup, model, proof, seconds, shadow)


def _begin(
    parts: Parts, settings: TrainerSettings, config: TrainConfig, seconds: dict[str, float]
) -> tuple[CycleData, Lineup]:
    """Read and embed everything that a cycle needs besides its candidate."""
    with timed(seconds, "read"):
        corpus = read_corpus(parts.store)
        logged = parts.store.logged_rankings()
    with timed(seconds, "embed"):
        lineup = line_up(
            settings, config, parts.registry, parts.cache, corpus, logged,
            lambda *at: parts.progress("embed", *at), parts.tell,
        )  # fmt: skip
    with timed(seconds, "snapshot"):
        data = read(parts, settings, config, corpus, logged, lineup.base, lineup.documents)
    return data, lineup


def _settle(
    parts: Parts,
    settings: TrainerSettings,
    data: CycleData,
    lineup: Lineup,
    model: RegisteredModel,
    proof: Proof,
    seconds: dict[str, float],
    shadow: Shadow | None = None,
) -> CycleResult:
    if lineup.unseen:
        reason = f"{proof.verdict.reason} ({lineup.unseen})"
        proof = replace(proof, verdict=replace(proof.verdict, reason=reason))
    event = model_event(
        model, proof.verdict, proof.figures, data.snapshot,
        incumbent_id=lineup.incumbent.name, seed=settings.train_seed, at=parts.now(),
        uri=parts.settlement.url_of(model.model_id), looked_at=proof.looked_at,
    )  # fmt: skip
    said = (*data.snapshot.card.lines(), *proof.said, in_force_line(lineup.in_force))
    report = report_of(
        event, proof.verdict, proof.figures, proof.shifts, data.snapshot.card, seconds,
        agreement=proof.agreement, in_force=lineup.in_force, said=said,
    )  # fmt: skip
    kept = None
    if proof.verdict.action == "shadow":
        kept = Shadow(
            model_id=model.model_id,
            measured=lineup.serving,
            since=shadow.since if shadow else event.ts,
            answered=data.answered,
            missing=proof.verdict.missing_queries,
        )
    made = parts.settlement.settle(
        Decision(
            event=event,
            report=report,
            measured=lineup.serving,
            answered=None if shadow else data.answered,
            shadow=kept,
            look=Look(
                gate_id=event.event_id,
                promoted=event.action == "promoted",
                query_hashes=proof.looked_at,
            )
            if proof.looked_at
            else None,
        )
    )
    verdict = replace(proof.verdict, action=made.event.action, reason=made.event.reason)  # type: ignore[arg-type] # a cycle makes no rollback
    _LOG.info("model %s: %s: %s", model.model_id, verdict.action, verdict.reason)
    return CycleResult(
        model, verdict, made.event, data.snapshot, proof.figures, proof.shifts,
        len(data.held_out), seconds, proof.agreement, lineup.in_force, said,
    )  # fmt: skip
