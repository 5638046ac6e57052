"""One turn of the wheel: snapshot, train, evaluate, judge, gate, promote.

`run_cycle` touches the world only through `Parts`; with an in-memory store and judge it is an
ordinary function, and a test runs it in seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.models.encoder import TextEncoder, Vectors, load_encoder
from ragwheel.models.manifest import Manifest, TrainConfig
from ragwheel.models.registry import ModelRegistry, RegisteredModel
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.errors import TerminalError
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data.examples import Snapshot, build_snapshot, leaks
from ragwheel.trainers.data.records import Corpus, SampledQuery
from ragwheel.trainers.data.split import draw_order
from ragwheel.trainers.data.store import WheelStore
from ragwheel.trainers.lanes import query_side
from ragwheel.trainers.proof import evaluation, gate
from ragwheel.trainers.proof.devcheck import dev_check
from ragwheel.trainers.proof.evaluation import Figure, RankShift
from ragwheel.trainers.proof.judging import Judge, Judged, judge_jobs
from ragwheel.trainers.reporting import model_event, report_of

_LOG = logging.getLogger(__name__)


class NotEnoughDataError(TerminalError):
    """There is nothing to train on or to prove with yet; the message says what is missing."""


class LeakError(TerminalError):
    """Held-out data would be trained on. A programming error; nothing is trained."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The world of a cycle.

    Attributes:
        publish: sends a ModelEvent; returns when it is durable.
        now: UTC time.
        progress: called with (stage, done, total); may raise to stop the cycle.
    """

    store: WheelStore
    judge: Judge
    registry: ModelRegistry
    cache: VectorCache
    publish: Callable[[ModelEvent], None]
    now: Callable[[], datetime]
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What a cycle did.

    Attributes:
        figures: metrics of both systems and their difference; empty when no judge was asked.
        stage_seconds: wall time per stage, in order.
    """

    model: RegisteredModel
    verdict: gate.Verdict
    event: ModelEvent
    snapshot: Snapshot
    figures: tuple[Figure, ...]
    shifts: tuple[RankShift, ...]
    gate_queries: int
    stage_seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class _System:
    """How queries are embedded, and the vectors of the documents that they are compared with."""

    model_id: str
    embed: Callable[[Sequence[str]], Vectors]
    documents: Vectors = field(repr=False)


def run_cycle(
    parts: Parts, settings: TrainerSettings, config: TrainConfig | None = None
) -> CycleResult:
    """Train one candidate on all labels and decide about it.

    Args:
        config: hyper-parameters; from the settings when left out.

    Raises:
        NotEnoughDataError: no corpus, no training example or no held-out query.
        ConfigError: the base model cannot be loaded.
        UnavailableError: ClickHouse or Kafka does not answer. Nothing was promoted.
    """
    config = config or TrainConfig(
        epochs=settings.train_epochs, max_seq_length=settings.max_seq_length
    )
    seconds: dict[str, float] = {}
    with _timed(seconds, "read"):
        corpus, snapshot = _read(parts.store, settings)
        held_out = sorted(snapshot.gate, key=lambda query: draw_order(query.query_hash))
        held_out = held_out[: settings.gate_max_queries]
    with _timed(seconds, "embed"):
        base = load_encoder(settings.base_model, config.max_seq_length, settings.prompts)
        documents = _embed(parts, base, corpus)
        incumbent = _incumbent(parts, settings, config, base, documents, corpus)
    with _timed(seconds, "train"):
        encoder = load_encoder(settings.base_model, config.max_seq_length, settings.prompts)
        model = _train(parts, settings, config, snapshot, corpus, encoder, base, documents)
    # Not through the cache: nobody has seen these weights, and the fingerprint is of loaded ones.
    candidate = _System(model.model_id, partial(encoder.encode, side="query"), documents)
    with _timed(seconds, "evaluate"):
        loss = dev_check(
            snapshot.dev, corpus,
            (incumbent.embed, incumbent.documents), (candidate.embed, documents),
            seed=settings.train_seed,
        )  # fmt: skip
        comparison = _Comparison(held_out, incumbent, candidate, settings.judge_depth)
    if loss is None:
        with _timed(seconds, "judge"):
            jobs = judge_jobs(model.model_id, held_out, comparison.pools, corpus)
            judged = parts.judge(jobs, lambda *at: parts.progress("judge", *at))
        with _timed(seconds, "gate"):
            verdict, figures, shifts = _decide(comparison, judged, corpus, snapshot, settings)
    else:
        verdict, figures, shifts = gate.Verdict("refused", loss, 0.0, 0.0, 0), (), ()
    if verdict.action == "promoted":
        parts.registry.promote(model.model_id, verdict.reason, parts.now())
    event = model_event(
        model, verdict, figures, snapshot,
        incumbent_id=incumbent.model_id, seed=settings.train_seed, at=parts.now(),
    )  # fmt: skip
    report = report_of(event, verdict, figures, shifts, snapshot.card, seconds)
    parts.registry.save_report(model.model_id, report)
    parts.publish(event)
    _LOG.info("model %s: %s: %s", model.model_id, verdict.action, verdict.reason)
    return CycleResult(model, verdict, event, snapshot, figures, shifts, len(held_out), seconds)


class _Comparison:
    """Both systems on the held-out queries: vectors, ranked lists and what has to be judged."""

    def __init__(
        self, queries: list[SampledQuery], incumbent: _System, candidate: _System, depth: int
    ) -> None:
        texts = [query.query for query in queries]
        self.queries = queries
        self.systems = (incumbent, candidate)
        self.vectors = tuple(system.embed(texts) for system in self.systems)
        depth = max(depth, evaluation.METRIC_DEPTH)
        self.before, self.after = (
            evaluation.rank(vectors, system.documents, depth)
            for vectors, system in zip(self.vectors, self.systems, strict=True)
        )
        self.pools = evaluation.pool(self.before, self.after, depth)

    def shifts(self, grades: list[dict[int, int]], corpus: Corpus) -> tuple[RankShift, ...]:
        """Ranks before and after of every pair that was judged relevant."""
        pairs = [
            (query, row)
            for query, by_row in enumerate(grades)
            for row, grade in sorted(by_row.items())
            if grade >= RELEVANT_GRADE
        ]
        before, after = (
            evaluation.ranks_of(vectors, system.documents, pairs)
            for vectors, system in zip(self.vectors, self.systems, strict=True)
        )
        asked = [self.queries[query] for query, _ in pairs]
        chunks = [corpus.chunk_hashes[row] for _, row in pairs]
        return tuple(
            RankShift(query.query, query.query_hash, chunk, query.segment, was, now)
            for query, chunk, was, now in zip(
                asked, chunks, before.tolist(), after.tolist(), strict=True
            )
        )


def _read(store: WheelStore, settings: TrainerSettings) -> tuple[Corpus, Snapshot]:
    corpus = store.corpus()
    if not corpus.chunk_hashes:
        raise NotEnoughDataError(
            "no chunk is known: send the corpus as ChunkEvents, or candidates with their text"
        )
    pairs, judged = store.labels(), store.judge_grades()
    snapshot = build_snapshot(
        store.sampled_queries(), pairs,
        gate_share=settings.gate_share, known_chunks=corpus.chunk_hashes, judged=judged,
    )  # fmt: skip
    card = snapshot.card
    if not snapshot.train or not snapshot.gate:
        raise NotEnoughDataError(
            f"{len(snapshot.train)} training examples and {len(snapshot.gate)} held-out queries "
            f"from {sum(card.queries.values())} sampled queries: more labels are needed"
        )
    if found := leaks(snapshot, [*pairs, *judged]):
        raise LeakError(f"{len(found)} leaks from the held-out queries, first: {found[0]}")
    return corpus, snapshot


def _embed(parts: Parts, encoder: TextEncoder, corpus: Corpus) -> Vectors:
    return parts.cache.embed(
        encoder, corpus.texts, progress=lambda *at: parts.progress("embed", *at)
    )


def _incumbent(
    parts: Parts,
    settings: TrainerSettings,
    config: TrainConfig,
    base: TextEncoder,
    documents: Vectors,
    corpus: Corpus,
) -> _System:
    """What serves now: the promoted model, else the base model."""
    current = parts.registry.current()
    if current is None:
        queries = partial(parts.cache.embed, base, side="query")
        return _System(settings.base_model, queries, documents)
    encoder = load_encoder(current.query_encoder, config.max_seq_length)
    if current.manifest.document_fingerprint != base.fingerprint:
        # Promoted under another base model or length: its documents are embedded by that one.
        of_documents = load_encoder(
            current.manifest.base_model, current.manifest.config.max_seq_length
        )
        documents = _embed(parts, of_documents, corpus)
    return _System(current.model_id, partial(parts.cache.embed, encoder, side="query"), documents)


def _train(
    parts: Parts,
    settings: TrainerSettings,
    config: TrainConfig,
    snapshot: Snapshot,
    corpus: Corpus,
    encoder: TextEncoder,
    base: TextEncoder,
    documents: Vectors,
) -> RegisteredModel:
    summary = query_side.train_query_side(
        encoder, snapshot.train, corpus, documents, config, settings.train_seed,
        progress=lambda *at: parts.progress("train", *at),
    )  # fmt: skip
    manifest = Manifest(
        lane=query_side.LANE,
        base_model=settings.base_model,
        base_fingerprint=base.fingerprint,
        document_fingerprint=base.fingerprint,
        snapshot_id=snapshot.snapshot_id,
        config=config,
        seed=settings.train_seed,
        versions=query_side.library_versions(),
        data=snapshot.card.as_json(),
        training=asdict(summary),
    )
    return parts.registry.register(manifest, encoder.save)


def _decide(
    comparison: _Comparison,
    judged: Judged,
    corpus: Corpus,
    snapshot: Snapshot,
    settings: TrainerSettings,
) -> tuple[gate.Verdict, tuple[Figure, ...], tuple[RankShift, ...]]:
    row_of_chunk = {chunk: row for row, chunk in enumerate(corpus.chunk_hashes)}
    index_of_query = {each.query_hash: index for index, each in enumerate(comparison.queries)}
    grades: list[dict[int, int]] = [{} for _ in comparison.queries]
    for each in judged.judgments:
        if each.grade is not None:
            grades[index_of_query[each.query_hash]][row_of_chunk[each.chunk_hash]] = each.grade
    segments = [query.segment for query in comparison.queries]
    per_query = evaluation.score(comparison.before, comparison.after, grades)
    verdict = gate.decide(
        per_query, segments, gate.GateRules(min_queries=settings.gate_min_queries),
        seed=settings.train_seed,
        label_graders=frozenset(snapshot.card.graders), judge_grader=judged.grader_id,
    )  # fmt: skip
    figures = tuple(evaluation.figures(per_query, segments, settings.train_seed))
    return verdict, figures, comparison.shifts(grades, corpus)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note the block's wall time in `seconds`; a stage that fails ends the cycle."""
    began = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - began
