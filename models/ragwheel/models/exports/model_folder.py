"""A folder that sentence-transformers, text-embeddings-inference and vLLM load as it is.

sentence-transformers 6 writes names and keys that only sentence-transformers 6 reads. From a folder
without the older ones, text-embeddings-inference 1.9 (`PoolConfig` and `STConfig` in
router/src/lib.rs) does not start, and vLLM (`get_pooling_config` in
vllm/transformers_utils/config.py) pools in another way than the model was trained with, unsaid. The
older ones are read by all three.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ragwheel.models.exports.model_card import model_card
from ragwheel.models.exports.taken import ModelExportError, TakenSide, new_folder

#: Names of modules by which other loaders know them.
_KNOWN_AS = {
    f"sentence_transformers.{path}": f"sentence_transformers.models.{path.rpartition('.')[2]}"
    for path in (
        "base.modules.transformer.Transformer",
        "sentence_transformer.modules.pooling.Pooling",
        "base.modules.normalize.Normalize",
    )
}
#: How to pool → the key that says so to other loaders.
_POOLING_KEYS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def write_folder(taken: TakenSide, to: Path) -> Path:
    """Write the model with its prompts, its length and a model card.

    Args:
        to: a new or empty folder.

    Raises:
        ModelExportError: `to` is not empty.
    """
    with new_folder(to) as staged:
        fill(taken, staged)
    return to


def fill(taken: TakenSide, folder: Path) -> None:
    """Put the model and its card into an empty folder."""
    shutil.copytree(taken.folder, folder, dirs_exist_ok=True)
    _make_portable(folder)
    (folder / "README.md").write_text(model_card(taken), encoding="utf-8")


def _make_portable(folder: Path) -> None:
    """Say what the folder says in the words of older loaders, too; no vector changes."""
    modules = _read(folder / "modules.json")
    for module in modules:
        module["type"] = _KNOWN_AS.get(module["type"], module["type"])
        path = folder / module["path"] / "config.json"
        if module["type"].endswith(".Pooling"):
            _write(path, _older_pooling(_read(path)))
        elif module["type"].endswith(".Transformer"):
            _state_length(folder / module["path"])
    _write(folder / "modules.json", modules)


def _older_pooling(config: dict[str, Any]) -> dict[str, Any]:
    if "pooling_mode" not in config:
        return config
    modes = config["pooling_mode"]
    modes = [modes] if isinstance(modes, str) else modes
    return {
        "word_embedding_dimension": config["embedding_dimension"],
        **{key: mode in modes for mode, key in _POOLING_KEYS.items()},
        "include_prompt": config.get("include_prompt", True),
    }


def _state_length(folder: Path) -> None:
    """Name the length in force where servers look for it; one that reads more embeds otherwise."""
    path, tokenizer = folder / "sentence_bert_config.json", folder / "tokenizer_config.json"
    limit = _read(tokenizer).get("model_max_length") if tokenizer.exists() else None
    if path.exists() and isinstance(limit, int):
        config = _read(path)
        _write(path, {**config, "max_seq_length": limit, "do_lower_case": False})


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelExportError(
            f"{path.name} of the model cannot be read ({error}): it is no sentence-transformers "
            "folder, or was changed; restore it from a backup"
        ) from None


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
