"""Encoding: order, identity of a model, and errors that name the setting."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.rigs.trainer_world import save_base_model

from ragwheel.models import encoder as module
from ragwheel.models.encoder import TextEncoder, VectorError, batches_by_length, load_encoder
from ragwheel.models.packaged import at_hub
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.settings import TrainerSettings


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_base_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def encoder(base_model: str) -> TextEncoder:
    return load_encoder(base_model, 64)


TEXTS = [
    " ".join(f"code{word}" for word in range(start, start + 1 + start % 9)) for start in range(90)
]


def test_vectors_have_length_one_and_do_not_depend_on_the_company(encoder: TextEncoder) -> None:
    together = encoder.encode(TEXTS, "document")
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    alone = np.concatenate([encoder.encode([text], "document") for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_progress_counts_tokens_and_ends_at_their_sum(encoder: TextEncoder) -> None:
    seen: list[tuple[int, int]] = []
    encoder.encode(TEXTS, "document", progress=lambda *at: seen.append(at))
    total = int(encoder.tokens(TEXTS).sum())
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)


def test_a_text_is_no_more_work_than_the_model_reads_of_it(encoder: TextEncoder) -> None:
    short, long, longer = encoder.tokens(["", "x" * 50_000, "x" * 90_000])
    assert 0 < short < long == longer


def test_another_process_loads_an_equal_encoder(encoder: TextEncoder) -> None:
    assert encoder.again is not None
    again = encoder.again()
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS, "query"), encoder.encode(TEXTS, "query"))


def test_no_texts_have_no_vectors(encoder: TextEncoder) -> None:
    assert encoder.encode([], "query").shape == (0, encoder.dimension)


def test_batches_hold_every_text_once_and_long_texts_come_first() -> None:
    texts = ["x" * length for length in (5, 3_000, 40, 900, 7, 3_000)] * 30
    batches = list(batches_by_length(texts, max_seq_length=128))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(texts)))
    longest = [max(len(texts[row]) for row in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert max(len(batch) for batch in batches) <= 256


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(
    base_model: str, tmp_path: Path, encoder: TextEncoder
) -> None:
    encoder.save(tmp_path / "copy")
    assert load_encoder(tmp_path / "copy", 64).fingerprint == encoder.fingerprint
    other = load_encoder(base_model, 64)
    with torch.no_grad():
        next(other.model.parameters())[5, 3] += 1e-3
    assert other.fingerprint != encoder.fingerprint


def test_a_machine_of_another_arithmetic_recognises_the_space(
    base_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    for native in (False, True):
        monkeypatch.setattr(module, "_has_bfloat16", lambda device, native=native: native)
        encoder = load_encoder(base_model, 64)
        seen[encoder.arithmetic] = encoder.fingerprint
    assert set(seen) == {"fp32", "bf16"}
    assert len(set(seen.values())) == 1


def save_with_prompts(folder: Path, base_model: str, **config: object) -> str:
    """The base model with prompts in its own configuration, as E5's authors might have."""
    shutil.copytree(base_model, folder)
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return str(folder)


def test_each_side_is_encoded_with_the_models_own_prompt(
    base_model: str, tmp_path: Path, encoder: TextEncoder
) -> None:
    prompts = {"query": "ask1 ask2 ", "passage": "code3 "}
    prompted = load_encoder(save_with_prompts(tmp_path / "e5", base_model, prompts=prompts), 64)
    assert (prompted.prompt("query"), prompted.prompt("document")) == ("ask1 ask2 ", "code3 ")
    for side, text in (("query", "ask1 ask2 code7"), ("document", "code3 code7")):
        expected = encoder.encode([text], "document")
        assert (prompted.encode(["code7"], side) == expected).all()  # type: ignore[arg-type]
    reference = prompted.model.encode_query(["code7"], normalize_embeddings=True)
    np.testing.assert_allclose(prompted.encode(["code7"], "query"), reference, atol=1e-6)


def test_a_default_prompt_stands_in_for_a_side_without_one(base_model: str, tmp_path: Path) -> None:
    folder = save_with_prompts(
        tmp_path / "m", base_model, default_prompt_name="all",
        prompts={"all": "code1 ", "query": "ask1 ", "document": ""},
    )  # fmt: skip
    loaded = load_encoder(folder, 64)
    assert (loaded.prompt("query"), loaded.prompt("document")) == ("ask1 ", "code1 ")


def test_a_prompt_changes_the_fingerprint(
    base_model: str, tmp_path: Path, encoder: TextEncoder
) -> None:
    prompted = load_encoder(base_model, 64, {"query": "query: "})
    assert prompted.prompt("query") == "query: "
    assert prompted.fingerprint != encoder.fingerprint
    prompted.save(tmp_path / "saved")
    again = load_encoder(tmp_path / "saved", 64)
    assert again.prompt("query") == "query: ", "whoever loads the folder encodes alike"
    assert again.fingerprint == prompted.fingerprint


@pytest.mark.parametrize(("weight", "what"), [(float("nan"), "NaN"), (0.0, "is zero")])
def test_a_text_without_a_usable_vector_is_refused_and_named(
    base_model: str, weight: float, what: str
) -> None:
    broken = load_encoder(base_model, 64)
    vocabulary = broken.model.tokenizer.get_vocab()
    with torch.no_grad():
        next(broken.model.parameters())[vocabulary["code9"]] = weight
    assert broken.encode(["code8"], "query").shape[0] == 1
    with pytest.raises(VectorError, match=what) as raised:
        broken.encode(["code8", "code9"], "query")
    assert identity.content_hash("code9") in str(raised.value)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_model_is_a_setting_to_correct(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    if kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.write_text("not a model")
    with pytest.raises(ConfigError, match="RAGWHEEL_BASE_MODEL") as raised:
        load_encoder(path, 64)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_base_model_is_pinned_to_a_revision_of_the_hub() -> None:
    name, revision = at_hub(TrainerSettings().base_model)
    assert name == "sentence-transformers/all-MiniLM-L6-v2"
    assert revision is not None
    assert re.fullmatch(r"[0-9a-f]{40}", revision), "a branch or tag may move"
    assert at_hub("some/model") == ("some/model", None)


def test_a_folder_may_have_an_at_in_its_name(base_model: str, tmp_path: Path) -> None:
    folder = tmp_path / "model@home"
    folder.symlink_to(base_model)
    assert at_hub(str(folder)) == (str(folder), None)
    assert load_encoder(folder, 64).dimension > 0


def test_the_revision_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    class Hub:
        def __init__(self, name: str, *, revision: str | None, **_: object) -> None:
            asked.append((name, revision))
            raise OSError("the hub is away")

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", Hub)
    with pytest.raises(ConfigError, match="some/model@abc"):
        load_encoder("some/model@abc", 64)
    assert asked == [("some/model", "abc")]
