"""Taking a snapshot: read, deal sides, decide what counts, and put it on the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from pathlib import Path

from ragwheel.models.encoder import Vectors
from ragwheel.trainers.believing import Setting, labels_believed
from ragwheel.trainers.data import folder
from ragwheel.trainers.data.beliefs import Beliefs, Pair
from ragwheel.trainers.data.evidence import current_grades
from ragwheel.trainers.data.records import Corpus, LoggedRanking
from ragwheel.trainers.data.sides import SIDES_FILE, read_sides, write_sides
from ragwheel.trainers.data.snapshot import Recipe, Snapshot, build_snapshot
from ragwheel.trainers.data.split import assign_sides
from ragwheel.trainers.data.store import WheelStore


def take_snapshot(
    store: WheelStore,
    corpus: Corpus,
    logged: Sequence[LoggedRanking],
    recipe: Recipe,
    model_dir: Path,
    embed_queries: Callable[[Sequence[str]], Vectors],
    documents: Vectors,
    endorsed: Set[Pair] = frozenset(),
) -> tuple[Snapshot, Beliefs]:
    """The data of a cycle, stored below `model_dir` before anything is learnt from it.

    The sides are on the disk first: whatever happens next, no query changes its side.

    Args:
        embed_queries: the base model's vectors.
        documents: its vectors of `corpus.texts`.
        endorsed: pairs that an answer cited or a user clicked.

    Raises:
        SidesError: the sides on disk are damaged.
        UnavailableError: ClickHouse does not answer.
    """
    queries = store.sampled_queries()
    known = read_sides(model_dir / SIDES_FILE)
    vectors = embed_queries([each.query for each in queries])
    sides = assign_sides(queries, vectors, recipe.gate_share, known)
    if sides != known:
        write_sides(model_dir / SIDES_FILE, sides)
    segments = {each.query_hash: each.segment for each in queries}
    grades, dropped = current_grades(store.grades(), segments)
    beliefs = labels_believed(Setting(queries, vectors, corpus, documents), grades, logged)
    snapshot = build_snapshot(
        queries, sides, grades, beliefs.of, corpus, recipe,
        dropped=dropped, noise=beliefs.report.figures(), endorsed=endorsed,
    )  # fmt: skip
    folder.write(snapshot, model_dir / folder.SNAPSHOTS)
    return snapshot, beliefs
