"""A model from a snapshot: in a cycle, and once more from a folder alone, when no table is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ragwheel.models.canaries import canary_vectors, write_canaries, write_reference
from ragwheel.models.encoder import Progress, TextEncoder, Vectors, load_encoder
from ragwheel.models.manifest import Manifest, OfSides
from ragwheel.models.registry import ModelRegistry, RegisteredModel
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data import folder
from ragwheel.trainers.data.folder import SnapshotError
from ragwheel.trainers.data.snapshot import Snapshot
from ragwheel.trainers.lanes import query_side


def make_model(
    snapshot: Snapshot,
    encoder: TextEncoder,
    documents: Vectors,
    registry: ModelRegistry,
    progress: Progress | None = None,
) -> RegisteredModel:
    """Train `encoder`, fresh from the base model, as the snapshot's recipe says, and register it.

    Args:
        documents: vectors of the snapshot's corpus by the base model.

    Raises:
        TrainingFailedError: the training diverged; nothing is registered.
    """
    recipe = snapshot.recipe
    sides = OfSides(
        query_prompt=encoder.prompt("query"),
        document_prompt=encoder.prompt("document"),
        query_length=encoder.max_seq_length,
        document_length=encoder.max_seq_length,
    )
    of_documents = canary_vectors(encoder, "document")  # the base model, still untrained
    summary = query_side.train_query_side(
        encoder, snapshot.train, snapshot.corpus, documents, recipe.config, recipe.seed, progress,
        dev=snapshot.dev,
    )  # fmt: skip
    manifest = Manifest(
        lane=query_side.LANE,
        base_model=recipe.base_model,
        base_fingerprint=recipe.base_fingerprint,
        document_fingerprint=recipe.base_fingerprint,
        dimension=encoder.dimension,
        sides=sides,
        snapshot_id=snapshot.snapshot_id,
        config=recipe.config,
        seed=recipe.seed,
        versions=query_side.library_versions(),
        data=snapshot.card.as_json(),
        training=asdict(summary),
    )

    def beside(folder: Path) -> None:
        write_canaries(folder, canary_vectors(encoder, "query"), of_documents)
        write_reference(folder, snapshot.corpus.chunk_hashes, documents, recipe.seed)

    return registry.register(manifest, encoder.save, beside)


def remake(
    snapshot: Snapshot,
    cache: VectorCache,
    registry: ModelRegistry,
    progress: Progress | None = None,
) -> RegisteredModel:
    """The same model again.

    Returns:
        On the same machine and with the same libraries the model that was first made of the
        snapshot, equal in every bit: its id is a digest of its bytes, and is the same.

    Raises:
        SnapshotError: the base model is no longer the one that the snapshot was made with.
        ConfigError: the base model cannot be loaded.
    """
    recipe = snapshot.recipe
    base = load_encoder(recipe.base_model, recipe.config.max_seq_length, recipe.prompts)
    if base.fingerprint != recipe.base_fingerprint:
        raise SnapshotError(
            f"snapshot {snapshot.snapshot_id} was made with other weights, prompts or length of "
            f"{recipe.base_model} ({recipe.base_fingerprint}, now {base.fingerprint}): use the "
            "revision and the folder that it was made with"
        )
    documents = cache.embed(base, snapshot.corpus.texts)
    encoder = load_encoder(recipe.base_model, recipe.config.max_seq_length, recipe.prompts)
    return make_model(snapshot, encoder, documents, registry, progress)


def remade(
    settings: TrainerSettings, snapshot_id: str, progress: Callable[[str, int, int], None]
) -> tuple[str, str]:
    """Remake the model of a stored snapshot; its id, and in words whether it is the one known."""
    root = settings.model_dir / folder.SNAPSHOTS
    snapshot = folder.read(folder.find(root, snapshot_id))
    registry = ModelRegistry(settings.model_dir)
    known = registry.ids()
    model = remake(
        snapshot,
        VectorCache(settings.vector_cache_dir, settings.embed_workers, settings.embed_on),
        registry,
        partial(progress, "train"),
    )
    if model.model_id in known:
        return model.model_id, "the same model, made again"
    return model.model_id, (
        "not a model that is here: the first one was removed, or was made on another machine or "
        "with other libraries"
    )
