"""A registered model is taken elsewhere, whole and checked, and measured with held-out queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tests.rigs.trainer_world import make_world, recipe, save_base_model
from tests.unit.cli.json_schema import check

from ragwheel.cli.main import main
from ragwheel.cli.reference import JSON_DIR
from ragwheel.models.encoder import load_encoder
from ragwheel.models.exports.onnx_encoder import OnnxSpec
from ragwheel.models.exports.onnx_trial import Trial
from ragwheel.models.exports.taken import ModelExportError
from ragwheel.models.manifest import Manifest, OfSides
from ragwheel.models.registry import ModelRegistry, RegistryError
from ragwheel.operations import model_exports
from ragwheel.operations.model_exports import ExportedModel, export_model
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data import folder
from ragwheel.trainers.data.snapshot import build_snapshot
from ragwheel.trainers.data.split import Membership, Sides


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainerSettings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGWHEEL_MODEL_DIR", str(tmp_path / "models"))
    return TrainerSettings(
        model_dir=tmp_path / "models", vector_cache_dir=tmp_path / "vectors", max_seq_length=64
    )


@pytest.fixture
def model_id(settings: TrainerSettings, tmp_path: Path) -> str:
    """A registered model, and the snapshot that it was made from."""
    base = save_base_model(tmp_path / "base")
    encoder = load_encoder(base, 64)
    world = make_world(base, questions=60, chunks=80)
    sides = {
        each.query_hash: Membership(each.query_hash, "gate" if at % 3 == 0 else "train")
        for at, each in enumerate(world.questions)
    }
    snapshot = build_snapshot(
        world.questions, Sides(sides), world.pairs, None, world.corpus(),
        recipe(base, encoder.fingerprint),
    )  # fmt: skip
    folder.write(snapshot, settings.model_dir / folder.SNAPSHOTS)
    manifest = Manifest(
        lane="query", base_model=base, base_fingerprint=encoder.fingerprint,
        document_fingerprint=encoder.fingerprint, dimension=encoder.dimension, sides=OfSides(),
        snapshot_id=snapshot.snapshot_id,
        config=snapshot.recipe.config, seed=17, versions={}, data={}, training={},
    )  # fmt: skip
    return ModelRegistry(settings.model_dir).register(manifest, encoder.save).model_id


def export(settings: TrainerSettings, model_id: str | None, **given: Any) -> ExportedModel:
    known: dict[str, Any] = {"form": "folder", "to": "out", "side": "query", "precision": "fp32"}
    return export_model(settings, model_id, progress=lambda line: None, **{**known, **given})


def test_both_sides_are_written_and_loaded(settings: TrainerSettings, model_id: str) -> None:
    for side in ("query", "document"):
        done = export(settings, model_id, to=side, side=side)
        assert (done.model_id, done.side, done.to) == (model_id, side, side)
        manifest = ModelRegistry(settings.model_dir).get(model_id).manifest
        assert load_encoder(Path(side), 64).fingerprint == manifest.document_fingerprint
        assert (Path(side) / "README.md").exists()


def test_a_model_that_was_changed_on_disk_goes_nowhere(
    settings: TrainerSettings, model_id: str
) -> None:
    weights = next((settings.model_dir / "models" / model_id).rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(RegistryError, match="was changed on disk"):
        export(settings, model_id)
    assert not Path("out").exists()


def test_documents_of_another_base_model_are_refused_by_fingerprint(
    settings: TrainerSettings, model_id: str, tmp_path: Path
) -> None:
    save_base_model(tmp_path / "base", seed=5)  # of the same dimension, in the same place
    with pytest.raises(ModelExportError, match="is another model here"):
        export(settings, model_id, side="document")


def test_without_a_promotion_a_model_must_be_named(settings: TrainerSettings) -> None:
    with pytest.raises(ModelExportError, match="nothing was promoted yet"):
        export(settings, None)


@pytest.mark.parametrize("side", ["query", "document"])
def test_a_copy_is_measured_with_held_out_queries_and_their_answers(
    settings: TrainerSettings, model_id: str, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[Trial] = []

    def write(taken: Any, to: Any, precision: Any, trial: Trial, progress: Any) -> OnnxSpec:
        trials.append(trial)
        return OnnxSpec(
            model_id=model_id, side=taken.side, precision=precision, fingerprint="f", dimension=1,
            max_seq_length=1, prompts={}, pad_token="", pad_id=0, digests={},
            measured={"cosine": 1.0},
        )  # fmt: skip

    monkeypatch.setattr(model_exports, "write_onnx", write)
    assert export(settings, model_id, form="onnx", side=side).measured == {"cosine": 1.0}
    [trial] = trials
    assert trial.queries
    assert len(trial.queries) <= 20  # a third of 60 is held out
    assert len(trial.documents) == 80
    for query, rows in zip(trial.queries, trial.relevant, strict=True):
        words = {word.replace("ask", "code") for word in query.split()}
        assert any(words <= set(trial.documents[row].split()) for row in rows)
    other = trial.documents if side == "query" else trial.queries
    assert trial.other_side.shape == (len(other), 64)
    assert np.allclose(np.linalg.norm(trial.other_side, axis=1), 1.0, atol=1e-3)


def test_without_its_snapshot_there_is_nothing_to_measure_with(
    settings: TrainerSettings, model_id: str
) -> None:
    (settings.model_dir / folder.SNAPSHOTS).rename(settings.model_dir / "elsewhere")
    with pytest.raises(ModelExportError, match="no held-out query with a relevant text"):
        export(settings, model_id, form="onnx", precision="int8")


def test_the_command_exports_and_says_where(
    settings: TrainerSettings, model_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "export", model_id, "out", "--json"]) == 0
    said = orjson.loads(capsys.readouterr().out)
    schema = orjson.loads((JSON_DIR / "models.schema.json").read_bytes())
    check(said, schema, schema)
    assert (said["to"], said["form"]) == ("out", "folder")
    assert main(["models", "export", model_id, "second"]) == 0
    assert "is in second" in capsys.readouterr().out
    assert main(["models", "export", model_id, "out"]) == 1
    assert "name a new or empty folder" in capsys.readouterr().err
    assert main(["models", "export", model_id]) == 78
    assert "`ragwheel models export ID DEST`" in capsys.readouterr().err
