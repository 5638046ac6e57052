"""An ONNX copy proves what it is for, or is not offered."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.rigs.taken import LENGTH, PROMPTS, TEXTS, base_encoder, taken_side
from tests.rigs.trainer_world import save_base_model

from ragwheel.models.canaries import SIDES, canary_vectors, read_canaries, write_canaries
from ragwheel.models.encoder import VectorError
from ragwheel.models.exports import onnx_folder
from ragwheel.models.exports.onnx_encoder import (
    OnnxEncoder,
    Precision,
    load_onnx,
    space_of,
)
from ragwheel.models.exports.onnx_folder import refusal, write_onnx
from ragwheel.models.exports.onnx_graph import TorchFp32
from ragwheel.models.exports.onnx_trial import Trial
from ragwheel.models.exports.taken import ModelExportError, TakenSide
from ragwheel.models.registry import RegisteredModel
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.errors import ConfigError
from ragwheel.serving.copies import with_copy

TOPICS = ["keys", "backups", "certificates", "users", "queues", "invoices", "caches", "tables"]
DOCUMENTS = [f"A page about {topic}: how they are made, rotated and removed." for topic in TOPICS]
QUERIES = [f"how do I remove {topic}" for topic in TOPICS]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TakenSide:
    return taken_side(tmp_path_factory.mktemp("registered") / "query_encoder")


@pytest.fixture(scope="module")
def trial() -> Trial:
    documents = TorchFp32(base_encoder()).encode(DOCUMENTS, "document")
    return Trial(QUERIES, DOCUMENTS, [[row] for row in range(len(TOPICS))], documents)


@pytest.fixture(scope="module")
def exact(source: TakenSide, trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "fp32"
    write_onnx(source, out, "fp32", trial, lambda line: None)
    return out


@pytest.fixture(scope="module")
def small(source: TakenSide, trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "int8"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_folder, "MIN_SPEED_UP", 0.0)  # no test depends on who else computes
        write_onnx(source, out, "int8", trial, lambda line: None)
    return out


def test_an_exact_copy_makes_the_vectors_of_its_source_and_names_its_space(exact: Path) -> None:
    copy = load_onnx(exact)
    for side in PROMPTS:
        wanted = TorchFp32(base_encoder()).encode(TEXTS, side)
        assert np.min(np.sum(copy.encode(TEXTS, side) * wanted, axis=1)) >= 0.99999
    assert copy.fingerprint == base_encoder().fingerprint
    assert (copy.arithmetic, copy.dimension) == ("fp32", 384)
    assert copy.prompt("query") == PROMPTS["query"]


def test_length_and_order_of_texts_change_no_vector(exact: Path) -> None:
    copy = load_onnx(exact)
    together = copy.encode(TEXTS, "query")
    alone = np.concatenate([copy.encode([text], "query") for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    longest = "word " * LENGTH
    cut = copy.encode([longest, longest + "tail " * 50], "query")
    assert np.allclose(cut[0], cut[1], atol=1e-6)


def test_a_small_copy_is_offered_with_its_figures(source: TakenSide, small: Path) -> None:
    copy = load_onnx(small)
    assert copy.arithmetic == "int8"
    assert copy.fingerprint == source.manifest.document_fingerprint  # queries: the same documents
    assert {"cosine", "recall", "recall_drop", "speed_up_one"} <= set(copy.spec.measured)
    assert copy.spec.measured["recall_drop"] <= onnx_folder.MAX_DROP
    assert "lower by" in (small / "README.md").read_text("utf-8")
    assert (small / "model.onnx").stat().st_size < 30e6


def test_small_documents_are_in_a_space_of_their_own() -> None:
    assert space_of("f", "document", "int8") != "f"
    assert space_of("f", "document", "fp32") == space_of("f", "query", "int8") == "f"


def test_a_small_copy_refuses_the_side_that_was_not_measured(small: Path) -> None:
    with pytest.raises(VectorError, match="encodes texts of the query side only"):
        load_onnx(small).encode(["a passage"], "document")


@pytest.mark.parametrize(
    ("precision", "changed", "why"),
    [
        ("int8", {"speed_up_one": 1.99}, "it is not 2 times as fast here"),
        ("int8", {"speed_up_batch": 1.99}, "it is not 2 times as fast here"),
        ("int8", {"recall_drop": 0.0051}, "it loses more than 0.5 points of recall@10"),
        ("fp32", {"cosine": 0.9998}, "its vectors are others"),
        ("int8", {"cosine": 0.95}, ""),
        ("fp32", {"speed_up_one": 0.5, "recall_drop": 1.0}, ""),
    ],
)
def test_what_a_copy_is_for_decides_whether_it_is_offered(
    precision: Precision, changed: dict[str, float], why: str
) -> None:
    good = {"cosine": 1.0, "speed_up_one": 2.0, "speed_up_batch": 2.0, "recall_drop": 0.005}
    assert refusal(precision, good) == ""
    assert refusal(precision, {**good, **changed}).startswith(why)
    assert bool(why) == bool(refusal(precision, {**good, **changed}))


def test_what_is_not_worth_it_is_refused_with_the_figures(
    source: TakenSide, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_folder, "MAX_DROP", -2.0)
    with pytest.raises(ModelExportError, match=r"int8 is not offered: it loses .*recall@10 \d"):
        write_onnx(source, tmp_path / "out", "int8", trial, lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_without_held_out_queries_int8_is_not_offered(source: TakenSide, tmp_path: Path) -> None:
    nothing = Trial([], [], [], np.zeros((0, 384), np.float32))
    with pytest.raises(ModelExportError, match="no held-out query"):
        write_onnx(source, tmp_path / "out", "int8", nothing, lambda line: None)


def test_a_model_that_is_no_transformer_is_refused(trial: Trial, tmp_path: Path) -> None:
    words = taken_side(Path(save_base_model(tmp_path / "words")))
    with pytest.raises(ModelExportError, match="StaticEmbedding is no transformer"):
        write_onnx(words, tmp_path / "out", "fp32", trial, lambda line: None)


def test_a_changed_or_empty_folder_is_not_loaded(exact: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no ONNX encoder"):
        load_onnx(tmp_path)
    changed = tmp_path / "changed"
    shutil.copytree(exact, changed)
    with (changed / "model.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ConfigError, match=r"model\.onnx was changed: export the model again"):
        load_onnx(changed)


@pytest.fixture(scope="module")
def registered(source: TakenSide) -> RegisteredModel:
    folder = source.folder.parent
    write_canaries(folder, *(canary_vectors(base_encoder(), side) for side in SIDES))
    return RegisteredModel(source.model_id, source.manifest, folder)


@pytest.mark.parametrize("kind", ["exact", "small"])
def test_a_copy_of_the_model_that_serves_answers_its_queries(
    registered: RegisteredModel, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    own = base_encoder()
    shutil.copytree(request.getfixturevalue(kind), tmp_path / registered.model_id)

    copy = with_copy(tmp_path, registered, own)

    assert isinstance(copy, OnnxEncoder)
    assert copy.fingerprint == own.fingerprint
    assert with_copy(None, registered, own) is own
    assert with_copy(tmp_path / "none", registered, own) is own


def test_a_copy_that_does_not_fit_is_told_and_the_model_itself_answers(
    registered: RegisteredModel, small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, other = base_encoder(), replace(registered, model_id="another")
    for name in (registered.model_id, "another"):
        shutil.copytree(small, tmp_path / name)
    assert with_copy(tmp_path, other, own) is own
    assert "export the query side of that model" in caplog.text

    shuffled = read_canaries(registered.folder)["query"][::-1]
    elsewhere = replace(registered, folder=tmp_path / "canaries")
    elsewhere.folder.mkdir()
    write_canaries(elsewhere.folder, shuffled, shuffled)
    assert with_copy(tmp_path, elsewhere, own) is own
    assert "embeds a canary otherwise" in caplog.text

    (tmp_path / registered.model_id / "tokenizer.json").write_text("{}")
    assert with_copy(tmp_path, registered, own) is own
    assert "was changed: export the model again" in caplog.text


def test_a_copy_is_loaded_again_in_another_process(exact: Path, tmp_path: Path) -> None:
    copy = load_onnx(exact)
    assert copy.again is not None
    assert copy.again().fingerprint == copy.fingerprint
    cached = VectorCache(tmp_path).embed(copy, DOCUMENTS)
    assert np.allclose(cached, copy.encode(DOCUMENTS, "document"), atol=1e-5)
