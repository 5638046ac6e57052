"""An exported folder is the same model for sentence-transformers, and readable by servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tests.rigs.taken import LENGTH, PROMPTS, TEXTS, base_encoder, base_name, taken_side
from tests.rigs.trainer_world import save_base_model

from ragwheel.models.encoder import Side, TextEncoder, load_encoder
from ragwheel.models.exports.model_card import model_card, public_name
from ragwheel.models.exports.model_folder import write_folder
from ragwheel.models.exports.taken import ModelExportError, TakenSide


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TakenSide:
    return taken_side(tmp_path_factory.mktemp("registered") / "query_encoder")


@pytest.fixture(scope="module")
def exported(source: TakenSide, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(source, tmp_path_factory.mktemp("out") / "model")


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_plain_sentence_transformers_makes_the_same_vectors_of_both_sides(exported: Path) -> None:
    plain = SentenceTransformer(str(exported), device="cpu")
    assert plain.prompts == PROMPTS
    ours = base_encoder()
    encoders: dict[Side, Any] = {"query": plain.encode_query, "document": plain.encode_document}
    for side, encode in encoders.items():
        found = encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
        # Exact arithmetic on both sides: `TextEncoder` may use bfloat16.
        wanted = ours.model.encode(
            TEXTS, prompt=ours.prompt(side), normalize_embeddings=True, show_progress_bar=False
        )
        assert np.min(np.sum(found * wanted, axis=1)) >= 0.99999


def test_the_folder_is_the_same_space_to_us(exported: Path, source: TakenSide) -> None:
    plain = SentenceTransformer(str(exported), device="cpu")
    assert TextEncoder(plain).fingerprint == source.manifest.base_fingerprint
    assert load_encoder(exported, LENGTH).fingerprint == source.manifest.base_fingerprint


def test_vllm_finds_how_the_model_pools_and_that_it_normalises(exported: Path) -> None:
    # As vllm/transformers_utils/config.py::get_pooling_config reads it.
    types = {module["type"]: module["path"] for module in read(exported / "modules.json")}
    assert "sentence_transformers.models.Normalize" in types
    pooling = read(exported / types["sentence_transformers.models.Pooling"] / "config.json")
    chosen = [key for key, value in pooling.items() if value is True and key != "include_prompt"]
    assert chosen == ["pooling_mode_mean_tokens"]


def test_tei_finds_pooling_length_and_prompts(exported: Path) -> None:
    # As router/src/lib.rs of text-embeddings-inference parses PoolConfig, STConfig, NewSTConfig.
    pooling = read(exported / "1_Pooling" / "config.json")
    assert pooling["pooling_mode_cls_token"] is False
    assert pooling["pooling_mode_mean_tokens"] is True
    assert read(exported / "sentence_bert_config.json")["max_seq_length"] == LENGTH
    assert read(exported / "config_sentence_transformers.json")["prompts"] == PROMPTS
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= {
        path.name for path in exported.iterdir()
    }


def test_a_model_of_other_modules_is_exported_as_it_is(tmp_path: Path) -> None:
    folder = Path(save_base_model(tmp_path / "words"))
    out = write_folder(taken_side(folder), tmp_path / "out")
    assert load_encoder(out, 64).fingerprint == load_encoder(folder, 64).fingerprint


def test_nothing_is_written_over(source: TakenSide, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ModelExportError, match="not empty: name a new or empty folder"):
        write_folder(source, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_damaged_source_leaves_nothing_behind(source: TakenSide, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    with pytest.raises(ModelExportError, match=r"modules\.json of the model cannot be read"):
        write_folder(taken_side(broken), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_the_card_tells_the_verdict_with_intervals_and_the_licence(source: TakenSide) -> None:
    card = model_card(source)
    assert card.startswith("---\n")
    assert 'base_model: "sentence-transformers/all-MiniLM-L6-v2"' in card
    assert 'license: "apache-2.0"' in card
    assert "**promoted** on 2026-11-20, against `sentence-transformers/all-MiniLM-L6-v2`" in card
    assert "| recall@10 | delta | 0.088 [0.058, 0.118] | 764 |" in card
    assert source.manifest.document_fingerprint in card
    assert "encode_query" in card


def test_the_card_names_no_path_of_this_machine(source: TakenSide, tmp_path: Path) -> None:
    assert base_name() not in model_card(source)
    assert public_name(str(tmp_path / "gone" / "my-base")) == "my-base"
    assert public_name("intfloat/e5-small@abc") == "intfloat/e5-small"


def test_the_card_of_the_document_side_claims_no_training(source: TakenSide) -> None:
    card = model_card(taken_side(source.folder, "document"))
    assert "unchanged" in card
    assert "promoted" not in card
    assert "encode_document" in card


def test_a_model_that_no_gate_judged_says_so(source: TakenSide) -> None:
    assert "No gate has judged this model." in model_card(taken_side(source.folder, report=None))
