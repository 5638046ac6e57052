"""The same model again, from the folder of a snapshot alone: no table is read."""

from __future__ import annotations

from ragwheel.models.encoder import Progress, TextEncoder, load_encoder
from ragwheel.models.vectors import VectorCache
from ragwheel.trainers.data.folder import SnapshotError
from ragwheel.trainers.data.snapshot import Snapshot
from ragwheel.trainers.lanes.contracts import TrainingSummary
from ragwheel.trainers.lanes.query_side import train_query_side


def remake(
    snapshot: Snapshot, cache: VectorCache, progress: Progress | None = None
) -> tuple[TextEncoder, TrainingSummary]:
    """Train as the snapshot's recipe says.

    Returns:
        The encoder, on the same machine and with the same libraries equal in every bit to the one
        that was first made of the snapshot.

    Raises:
        SnapshotError: the base model is no longer the one that the snapshot was made with.
        ConfigError: the base model cannot be loaded.
    """
    recipe = snapshot.recipe
    base = load_encoder(recipe.base_model, recipe.config.max_seq_length, recipe.prompts)
    if base.fingerprint != recipe.base_fingerprint:
        raise SnapshotError(
            f"snapshot {snapshot.snapshot_id} was made with other weights, precision or length of "
            f"{recipe.base_model} ({recipe.base_fingerprint}, now {base.fingerprint}): use the "
            "machine, the revision and the folder that it was made with"
        )
    documents = cache.embed(base, snapshot.corpus.texts)
    encoder = load_encoder(recipe.base_model, recipe.config.max_seq_length, recipe.prompts)
    summary = train_query_side(
        encoder,
        snapshot.train,
        snapshot.corpus,
        documents,
        recipe.config,
        recipe.seed,
        progress,
        dev=snapshot.dev,
    )
    return encoder, summary
