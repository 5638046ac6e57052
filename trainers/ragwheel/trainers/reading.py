"""What a cycle reads, once, before it does anything: corpus, snapshot, gate queries, rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ragwheel.models.encoder import TextEncoder, Vectors
from ragwheel.models.manifest import TrainConfig
from ragwheel.schemas.errors import TerminalError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data.beliefs import Beliefs, Pair
from ragwheel.trainers.data.records import Corpus, LoggedRanking, SampledQuery
from ragwheel.trainers.data.snapshot import Recipe, Snapshot, leaks
from ragwheel.trainers.data.split import draw_order
from ragwheel.trainers.data.store import WheelStore
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.looks import freshest
from ragwheel.trainers.taking import take_snapshot


class NotEnoughDataError(TerminalError):
    """There is nothing to train on or to prove with yet; the message says what is missing."""


class LeakError(TerminalError):
    """Held-out data would be trained on. A programming error; nothing is trained."""


@dataclass(frozen=True, slots=True)
class CycleData:
    """What a cycle is about.

    Attributes:
        beliefs: how likely each labeled pair is relevant.
        held_out: the gate queries, at most as many as a judge may be asked about, those that the
            fewest gates looked at.
        logged: what production returned.
        answered: queries with a relevant label, when it was read.
        endorsed: pairs that an answer cited or a user clicked.
    """

    corpus: Corpus
    snapshot: Snapshot
    beliefs: Beliefs
    held_out: tuple[SampledQuery, ...]
    logged: tuple[LoggedRanking, ...]
    answered: int
    endorsed: frozenset[Pair] = frozenset()


def read_corpus(store: WheelStore) -> Corpus:
    """Every chunk that can be retrieved.

    Raises:
        NotEnoughDataError: there is none.
        UnavailableError: ClickHouse does not answer.
    """
    corpus = store.corpus()
    if not corpus.chunk_hashes:
        raise NotEnoughDataError(
            "no chunk is known: send the corpus as ChunkEvents, or candidates with their text"
        )
    return corpus


def read(
    parts: Parts,
    settings: TrainerSettings,
    config: TrainConfig,
    corpus: Corpus,
    logged: Sequence[LoggedRanking],
    base: TextEncoder,
    documents: Vectors,
) -> CycleData:
    """Take the snapshot of a cycle, and choose the gate queries.

    Args:
        base: the encoder of documents and the beginning of training.
        documents: its vectors of `corpus.texts`.

    Raises:
        NotEnoughDataError: no training example or no held-out query.
        UnavailableError: ClickHouse does not answer.
    """
    answered = parts.store.count_answered()
    recipe = Recipe(
        settings.base_model, base.fingerprint, config, settings.train_seed, settings.gate_share,
        settings.prompts,
    )  # fmt: skip
    embed = partial(parts.cache.embed, base, side="query")
    endorsed = frozenset(parts.store.endorsed())
    snapshot, beliefs = take_snapshot(
        parts.store, corpus, logged, recipe, settings.model_dir, embed, documents, endorsed
    )
    if not snapshot.train or not snapshot.gate:
        raise NotEnoughDataError(
            f"{len(snapshot.train)} training examples and {len(snapshot.gate)} held-out queries "
            f"from {len(snapshot.queries)} sampled queries: more labels are needed"
        )
    if found := leaks(snapshot):
        raise LeakError(f"{len(found)} leaks from the held-out queries, first: {found[0]}")
    by_hash = {each.query_hash: each for each in snapshot.gate}
    order = sorted(by_hash, key=draw_order)
    chosen = freshest(parts.past_gates(), order, settings.gate_max_queries)
    held_out = tuple(by_hash[each] for each in sorted(chosen, key=draw_order))
    return CycleData(corpus, snapshot, beliefs, held_out, tuple(logged), answered, endorsed)
