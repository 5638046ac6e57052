"""`ragwheel reembed`: plan, run, look, verify, cut over, and the ways back."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from ragwheel.backends.migrate import open_tables
from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.reembed.advice import Advice, better_deals
from ragwheel.reembed.filling import Building, Watch
from ragwheel.reembed.indexes.contracts import Index
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.reembed.moves import Moves
from ragwheel.reembed.planning import ReembedPrice, price
from ragwheel.reembed.proposing import Proposal, propose
from ragwheel.reembed.runners import LocalRunner, RayRunner, Runner, RunnerName
from ragwheel.reembed.shards import Totals
from ragwheel.reembed.states import NEXT, Reembed, ReembedRefusedError, ReembedState
from ragwheel.reembed.store import ReembedStore
from ragwheel.reembed.target_model import load_planned, searching_encoder, target_of
from ragwheel.reembed.verification import BuildEncoders, Findings
from ragwheel.schemas.errors import RagwheelError, TransientError
from ragwheel.schemas.events import IndexEvent
from ragwheel.schemas.settings import ReembedSettings

_FINDINGS = TypeAdapter(Findings)


@dataclass(frozen=True, slots=True)
class ReembedPlan:
    """What a re-embedding is going to cost, and what may be the better deal.

    Attributes:
        to_embed: tokens without a cached vector.
        cached: share of the corpus whose vectors are cached, 0-1, by a sample.
        texts_per_s: of this machine, measured.
        old_stored: chunks in the build that is searched; None: there is none.
    """

    reembed_id: str
    index: str
    from_version: str
    version: str
    store: str
    target: str
    document_fingerprint: str
    dimension: int
    chunks: int
    texts: int
    to_embed: int
    cached: float
    texts_per_s: float
    price: ReembedPrice
    uncertainty: float
    old_stored: int | None
    advice: Sequence[Advice]


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """How a re-embedding stands.

    Attributes:
        searched: physical name of the build that searches find.
        hours_left: at the speed of the shards so far, before the first as planned; None: nothing is
            left.
        findings: of the last verification.
        said: what the move that was just made has to say; empty: nothing.
        next: what to do now.
    """

    reembed_id: str
    state: ReembedState
    since: datetime
    by: str
    reason: str
    index: str
    from_version: str
    version: str
    store: str
    target: str
    totals: Totals
    unaccounted: int
    searched: str
    hours_left: float | None
    findings: Findings | None
    said: str
    next: str


@dataclass(frozen=True, slots=True)
class How:
    """How shards are embedded.

    Attributes:
        gpus: of each worker on Ray.
    """

    on: RunnerName = "local"
    gpus: float = 0.0


class Reembedding:
    """Re-embeddings of one vector store. Use as a context manager.

    Methods raise ReembedRefusedError, IndexRefusedError, ConfigError, UnavailableError; the message
    has the fix. Every one may be called again after a crash.
    """

    def __init__(self, settings: ReembedSettings, watch: Watch = lambda _: None) -> None:
        """Connects to ClickHouse; the store is opened when it is needed."""
        self._settings, self._watch = settings, watch
        self._client = open_tables(settings)
        self._store = ReembedStore(self._client)

    def __enter__(self) -> Reembedding:
        return self

    def __exit__(self, *_error: object) -> None:
        if "_index" in vars(self):
            self._index.close()
        self._client.close()

    def plan(self, proposal: Proposal) -> ReembedPlan:
        """Measure and note what a re-embedding takes; builds nothing."""
        cache = VectorCache(self._settings.vector_cache_dir)
        target = target_of(
            self._settings, proposal.target, proposal.max_seq_length, proposal.prompts
        )
        found = propose(
            self._store, self._index, cache, target, proposal, _user(), datetime.now(UTC)
        )
        made = found.reembed
        cost = price(found.probe, made.tokens, made.machines, made.usd_per_hour)
        return ReembedPlan(
            made.reembed_id, made.index, made.from_version, made.version, made.store, made.target,
            made.document_fingerprint, made.dimension, made.chunks, found.texts, made.tokens,
            found.cached, found.probe.texts_per_s, cost, made.uncertainty, found.old_stored,
            better_deals(self._reports(), cost.hours),
        )  # fmt: skip

    def status(self, reembed_id: str) -> ReembedReport:
        """How it stands."""
        return self._report(self._find(reembed_id))

    def run(self, reembed_id: str, how: How) -> ReembedReport:
        """Build it, go on, or take in what came since."""
        with (
            self._at_work(reembed_id) as (reembed, moves),
            self._building(reembed, how) as building,
        ):
            return self._report(moves.run(reembed, building))

    def verify(self, reembed_id: str, how: How, tolerance: float, force: str) -> ReembedReport:
        """Compare it with what is searched."""
        with self._at_work(reembed_id) as (reembed, moves):
            document, target = load_planned(self._settings, reembed)
            old, why = searching_encoder(self._settings, reembed)
            sides = BuildEncoders(document, target.query(), old, why)
            with self._building(reembed, how) as building:
                reembed, _ = moves.verify(reembed, building, self._store, sides, tolerance, force)
        return self._report(reembed)

    def cutover(self, reembed_id: str, how: How) -> ReembedReport:
        """Let searches find it."""
        with (
            self._at_work(reembed_id) as (reembed, moves),
            self._building(reembed, how) as building,
        ):
            return self._report(moves.cutover(reembed, building))

    def rollback(self, reembed_id: str, reason: str) -> ReembedReport:
        """Let searches find the old build again."""
        with self._at_work(reembed_id) as (reembed, moves):
            reembed, came = moves.rollback(reembed, reason)
        said = (
            f"{came:,} chunks came since the cutover and are not in {reembed.from_version}: send "
            "them again"
        )
        return self._report(reembed, said if came else "")

    def abort(self, reembed_id: str, reason: str) -> ReembedReport:
        """Drop the new build."""
        with self._at_work(reembed_id) as (reembed, moves):
            return self._report(moves.abort(reembed, reason))

    def retire(self, reembed_id: str) -> ReembedReport:
        """Drop the old build."""
        with self._at_work(reembed_id) as (reembed, moves):
            return self._report(moves.retire(reembed))

    @cached_property
    def _index(self) -> Index:
        return open_index(self._settings.vector_store)

    @contextmanager
    def _at_work(self, reembed_id: str) -> Iterator[tuple[Reembed, Moves]]:
        """The re-embedding, and who moves it: one at a time on this machine."""
        reembed = self._find(reembed_id)
        if self._index.display != reembed.store:
            raise ReembedRefusedError(
                f"re-embedding {reembed.reembed_id} is of {reembed.store}, and "
                f"RAGWHEEL_VECTOR_STORE is {self._index.display}"
            )
        folder = self._settings.vector_cache_dir
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with (
                FileLock(folder / f"reembed-{reembed.reembed_id}.lock", timeout=0),
                closing(_Announcer(self._settings)) as announcer,
            ):
                yield reembed, Moves(self._store, self._index, announcer.publish, _user())
        except Timeout:
            raise TransientError(
                f"another `ragwheel reembed` is at work on {reembed.reembed_id}: wait for it"
            ) from None

    @contextmanager
    def _building(self, reembed: Reembed, how: How) -> Iterator[Building]:
        settings = self._settings
        encoder, target = load_planned(settings, reembed)
        runner: Runner
        if how.on == "ray":
            runner = RayRunner(target.document, settings.embed_workers, how.gpus)
        else:
            runner = LocalRunner(encoder, settings.embed_workers, target.document)
        try:
            yield Building(
                self._store, self._index, reembed, runner,
                VectorCache(settings.vector_cache_dir).known(encoder), encoder.arithmetic,
                self._watch,
            )  # fmt: skip
        finally:
            if isinstance(runner, RayRunner):
                runner.close()

    def _find(self, reembed_id: str) -> Reembed:
        """By id, or the only one that is not ended, or the last."""
        known = self._store.reembeds()
        if reembed_id:
            found = [each for each in known if each.reembed_id.startswith(reembed_id)]
        else:
            known.sort(key=lambda each: each.ts)
            found = [each for each in known if not each.ended] or known[-1:]
        if len(found) == 1:
            return found[0]
        if not known:
            raise ReembedRefusedError("nothing was planned: `ragwheel reembed plan MODEL`")
        names = ", ".join(f"{each.reembed_id} ({each.index!r}, {each.state})" for each in known)
        raise ReembedRefusedError(f"say which: --id ID, one of {names}")

    def _report(self, reembed: Reembed, said: str = "") -> ReembedReport:
        totals = self._store.totals(reembed)
        findings = _FINDINGS.validate_json(reembed.findings) if reembed.findings else None
        left = totals.waiting + max(0, totals.unaccounted)
        done = totals.corpus - left
        workers = self._settings.embed_workers
        hours = totals.seconds * left / done / 3_600 / workers if done > 0 else reembed.hours
        return ReembedReport(
            reembed.reembed_id, reembed.state, reembed.ts, reembed.by, reembed.reason,
            reembed.index, reembed.from_version, reembed.version, reembed.store, reembed.target,
            totals, totals.unaccounted, self._searched(),
            hours if left and not reembed.ended else None, findings, said,
            NEXT[reembed.state],
        )  # fmt: skip

    def _searched(self) -> str:
        try:
            return self._index.serving()
        except RagwheelError as error:  # how it stands is told without the store
            return f"unknown: {error}"

    def _reports(self) -> dict[str, dict[str, object]]:
        registry = ModelRegistry(self._settings.model_dir)
        found = {each: registry.report(each) for each in registry.reported()}
        return {each: report for each, report in found.items() if report is not None}


class _Announcer:
    """Declares builds in Kafka; opens a producer when there is something to say."""

    def __init__(self, settings: ReembedSettings) -> None:
        self._settings = settings
        self._publisher: Publisher | None = None

    def publish(self, event: IndexEvent) -> None:
        """Return when the event is durable."""
        if self._publisher is None:
            self._publisher = Publisher(self._settings)
        self._publisher.publish([Outgoing.of("chunks", event)])

    def close(self) -> None:
        """End the producer."""
        if self._publisher is not None:
            self._publisher.close()


def _user() -> str:
    return getpass.getuser()
