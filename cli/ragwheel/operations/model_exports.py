"""`ragwheel models export`: a registered model in the form of others."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.models.encoder import Side, TextEncoder, load_encoder
from ragwheel.models.exports.hub_upload import upload
from ragwheel.models.exports.mlflow_folder import write_mlflow
from ragwheel.models.exports.model_folder import write_folder
from ragwheel.models.exports.onnx_encoder import Precision
from ragwheel.models.exports.onnx_folder import write_onnx
from ragwheel.models.exports.onnx_graph import TorchFp32
from ragwheel.models.exports.onnx_trial import Trial
from ragwheel.models.exports.taken import ModelExportError, TakenSide
from ragwheel.models.registry import ModelRegistry, RegisteredModel
from ragwheel.models.vectors import VectorCache
from ragwheel.operations.exports.columns import graded
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data import folder

ExportKind = Literal["folder", "onnx", "hub", "mlflow"]

#: Held-out queries that a copy is measured with, and texts that they are looked for in. Texts of
#: the document side are encoded twice for it; those of the query side are in the cache.
_QUERIES = 500
_DOCUMENTS: Mapping[Side, int] = {"query": 20_000, "document": 2_000}


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What was exported.

    Attributes:
        to: folder, or URL of a repository.
        measured: figures that an ONNX copy was offered by; none for exact copies of the files.
    """

    model_id: str
    side: Side
    form: ExportKind
    to: str
    measured: Mapping[str, float]


def export_model(
    settings: TrainerSettings,
    model_id: str | None,
    form: ExportKind,
    to: str,
    *,
    side: Side,
    precision: Precision,
    progress: Callable[[str], None],
) -> ExportedModel:
    """Export one side of a model.

    Args:
        model_id: None: the promoted one.
        to: a new or empty folder; for `hub` OWNER/NAME.
        progress: told in lines what happens.

    Raises:
        ModelExportError: it cannot be exported so; the message has the reason and the fix.
        RegistryError: there is no such model, or it was changed on disk.
        ConfigError: its base model cannot be loaded.
        DependencyError: a package is missing.
    """
    registry = ModelRegistry(settings.model_dir)
    chosen = model_id or registry.current_id()
    if chosen is None:
        raise ModelExportError(
            "nothing was promoted yet, so the base model serves: name a model (`ragwheel models`)"
        )
    registry.verify(chosen)
    model = registry.get(chosen)
    with _taken(settings, model, registry.report(chosen), side) as taken:
        measured: Mapping[str, float] = {}
        if form == "onnx":
            trial = _trial(settings, model, side)
            measured = write_onnx(taken, Path(to), precision, trial, progress).measured
        elif form == "hub":
            to = upload(taken, to)
        else:
            write = write_folder if form == "folder" else write_mlflow
            write(taken, Path(to))
    return ExportedModel(chosen, side, form, to, measured)


@contextmanager
def _taken(
    settings: TrainerSettings,
    model: RegisteredModel,
    report: Mapping[str, object] | None,
    side: Side,
) -> Iterator[TakenSide]:
    """The side's folder: that of the registry, or of the base model as it was in force."""
    with TemporaryDirectory() as temporary:
        source = model.query_encoder
        if side == "document":
            source = Path(temporary) / "base"
            _documents(settings, model).save(source)
        yield TakenSide(model.model_id, side, model.manifest, report, source)


def _documents(settings: TrainerSettings, model: RegisteredModel) -> TextEncoder:
    """The encoder of the documents that the model's queries are compared with."""
    manifest = model.manifest
    encoder = load_encoder(manifest.base_model, manifest.config.max_seq_length, settings.prompts)
    if encoder.fingerprint != manifest.document_fingerprint:
        raise ModelExportError(
            f"{manifest.base_model} is another model here ({encoder.fingerprint}) than the one that"
            f" {model.model_id} was proven with ({manifest.document_fingerprint}): set "
            "RAGWHEEL_QUERY_PROMPT and RAGWHEEL_DOCUMENT_PROMPT as they were then, and have the "
            "same revision of the base model"
        )
    return encoder


def _trial(settings: TrainerSettings, model: RegisteredModel, side: Side) -> Trial:
    """Held-out queries of the model's snapshot, with vectors of the other side."""
    queries, documents, relevant = _held_out(settings, model, _DOCUMENTS[side])
    if not queries:
        return Trial((), (), (), np.zeros((0, 0), np.float32))
    if side == "query":
        cache = VectorCache(settings.vector_cache_dir, settings.embed_workers)
        other = cache.embed(_documents(settings, model), documents)
    else:
        limit = model.manifest.config.max_seq_length
        other = TorchFp32(load_encoder(model.query_encoder, limit)).encode(queries, "query")
    return Trial(queries, documents, relevant, other)


def _held_out(
    settings: TrainerSettings, model: RegisteredModel, most_documents: int
) -> tuple[list[str], list[str], list[list[int]]]:
    """Queries of the gate, texts, and per query the rows of those that answer it.

    All three are empty where the snapshot is gone, or holds no such query.
    """
    stored = settings.model_dir / folder.SNAPSHOTS / model.manifest.snapshot_id
    if not stored.is_dir():
        return [], [], []
    tables = folder.read_tables(stored)
    pairs = graded(tables)
    wanted = pc.and_(
        pc.equal(pairs["part"], "gate"), pc.greater_equal(pairs["grade"], RELEVANT_GRADE)
    )
    texts = _mapping(tables["texts"], "chunk_hash", "text")
    asked = _mapping(tables["queries"], "query_hash", "query")
    answers: dict[str, list[str]] = {}
    for row in pairs.filter(wanted).select(["query_hash", "chunk_hash"]).to_pylist():
        if row["chunk_hash"] in texts:  # what left the corpus meanwhile answers nothing
            answers.setdefault(row["query_hash"], []).append(row["chunk_hash"])
    rng = random.Random(model.manifest.seed)
    chosen = sorted(rng.sample(sorted(answers), min(_QUERIES, len(answers))))
    needed = {chunk for query in chosen for chunk in answers[query]}
    others = sorted(texts.keys() - needed)
    others = rng.sample(others, min(len(others), max(0, most_documents - len(needed))))
    rows = {chunk: row for row, chunk in enumerate(sorted(needed) + sorted(others))}
    return (
        [asked[query] for query in chosen],
        [texts[chunk] for chunk in rows],
        [[rows[chunk] for chunk in answers[query]] for query in chosen],
    )


def _mapping(table: pa.Table, key: str, value: str) -> dict[str, str]:
    return dict(zip(table[key].to_pylist(), table[value].to_pylist(), strict=True))
