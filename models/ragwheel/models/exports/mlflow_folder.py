"""A model in MLflow's layout, written by MLflow itself so that the same MLflow loads it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from ragwheel.models.exports.model_folder import fill
from ragwheel.models.exports.taken import TakenSide, new_folder
from ragwheel.schemas.errors import DependencyError


def write_mlflow(taken: TakenSide, to: Path) -> Path:
    """Write an `MLmodel` of MLflow's sentence-transformers flavour; register it from there.

    Args:
        to: a new or empty folder.

    Raises:
        ModelExportError: `to` is not empty.
        DependencyError: MLflow is not installed.
    """
    try:
        flavour = import_module("mlflow.sentence_transformers")
    except ImportError:
        raise DependencyError("mlflow", "pip install mlflow") from None
    from sentence_transformers import SentenceTransformer

    with TemporaryDirectory() as folder, new_folder(to) as staged:
        fill(taken, Path(folder))
        # The signature would be inferred by a first call; an input of texts needs none.
        flavour.save_model(
            model=SentenceTransformer(folder, device="cpu"),
            path=str(staged),
            metadata={
                "ragwheel_model": taken.model_id,
                "ragwheel_side": taken.side,
                "ragwheel_documents": taken.manifest.document_fingerprint,
            },
        )
        (staged / "README.md").write_bytes((Path(folder) / "README.md").read_bytes())
    return to
