"""What a cycle reads, once, before it does anything: corpus, snapshot, gate queries, rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragwheel.schemas.errors import TerminalError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data.records import Corpus, Grade, LoggedRanking, SampledQuery
from ragwheel.trainers.data.snapshot import Snapshot, build_snapshot, leaks
from ragwheel.trainers.data.split import draw_order
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.looks import freshest


class NotEnoughDataError(TerminalError):
    """There is nothing to train on or to prove with yet; the message says what is missing."""


class LeakError(TerminalError):
    """Held-out data would be trained on. A programming error; nothing is trained."""


@dataclass(frozen=True, slots=True)
class CycleData:
    """What a cycle is about.

    Attributes:
        held_out: the gate queries, at most as many as a judge may be asked about, those that the
            fewest gates looked at.
        logged: what production returned.
        answered: queries with a relevant label, when it was read.
    """

    corpus: Corpus
    snapshot: Snapshot
    held_out: tuple[SampledQuery, ...]
    logged: tuple[LoggedRanking, ...]
    answered: int


def read(parts: Parts, settings: TrainerSettings) -> CycleData:
    """Read everything.

    Raises:
        NotEnoughDataError: no corpus, no training example or no held-out query.
        UnavailableError: ClickHouse does not answer.
    """
    store = parts.store
    answered = store.count_answered()
    corpus = store.corpus()
    if not corpus.chunk_hashes:
        raise NotEnoughDataError(
            "no chunk is known: send the corpus as ChunkEvents, or candidates with their text"
        )
    grades = store.grades()
    pairs, judged = _newest(grades, "label"), _newest(grades, "judge")
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
    by_hash = {each.query_hash: each for each in snapshot.gate}
    order = sorted(by_hash, key=draw_order)
    chosen = freshest(parts.past_gates(), order, settings.gate_max_queries)
    held_out = tuple(by_hash[each] for each in sorted(chosen, key=draw_order))
    return CycleData(corpus, snapshot, held_out, tuple(store.logged_rankings()), answered)


def _newest(grades: Sequence[Grade], role: str) -> list[Grade]:
    """One grade per (query, chunk): the newest where graders differ."""
    of_role = (each for each in grades if each.role == role)
    by_pair = {(each.query_hash, each.chunk_hash): each for each in of_role}
    return list(by_pair.values())
