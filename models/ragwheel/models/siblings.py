"""A model that differs from a loaded one in its weights alone, in a tenth of the time.

Building a model anew keeps Python's interpreter to itself for .1-.2 s, in pieces that nothing
interrupts (a tokenizer, JSON, modules that are filled with random numbers first): whoever answers
in another thread waits for them. What a trainer makes of one base model has the same everything but
weights, and those are mapped from the disk.
"""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ragwheel.models.encoder import Encoder, TextEncoder, load_encoder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

#: Of the first module; files of that name further down belong to modules that are shared.
_WEIGHTS = "model.safetensors"


def load_sibling(
    folder: Path, max_seq_length: int, known: Encoder, known_folder: Path
) -> TextEncoder:
    """What `load_encoder(folder, max_seq_length)` loads, by way of `known` where that is possible.

    It is where all files but the first module's weights are equal; otherwise the model is loaded as
    any other. Both share their tokenizer, so they are to be used in one thread, or in turn.

    Args:
        known: loaded from `known_folder` with the same length and no prompts but the folder's.

    Raises:
        ConfigError: as `load_encoder`.
    """
    if isinstance(known, TextEncoder) and _else_equal(folder, known_folder):
        model = _with_weights(known.model, folder / _WEIGHTS)
        if model is not None:
            return TextEncoder(model, partial(load_encoder, str(folder), max_seq_length))
    return load_encoder(folder, max_seq_length)


def _else_equal(one: Path, other: Path) -> bool:
    first, second = (
        {
            path.relative_to(folder): path
            for path in folder.rglob("*")
            if path.is_file() and path != folder / _WEIGHTS
        }
        for folder in (one, other)
    )
    return first.keys() == second.keys() and all(
        first[name].read_bytes() == second[name].read_bytes() for name in first
    )


def _with_weights(known: SentenceTransformer, weights: Path) -> SentenceTransformer | None:
    """A copy of `known` with other weights in its first module; None: they do not fit."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    def network(model: SentenceTransformer) -> torch.nn.Module:
        first = model[0]
        found: torch.nn.Module = getattr(first, "auto_model", first)
        return found

    # What is in the memo is not copied: weights that are replaced get no memory, all that is
    # only read is shared.
    memo: dict[int, object] = {id(each): each for each in known.parameters()}
    for each in network(known).parameters():
        memo[id(each)] = torch.nn.Parameter(
            torch.empty_like(each, device="meta"), requires_grad=each.requires_grad
        )
    for shared in (known.tokenizer, getattr(network(known), "config", None)):
        memo[id(shared)] = shared
    try:
        stored = load_file(weights, device=str(known.device))
        kinds = {name: tensor.dtype for name, tensor in network(known).state_dict().items()}
        if kinds != {name: tensor.dtype for name, tensor in stored.items()}:
            return None
        model = copy.deepcopy(known, memo)
        network(model).load_state_dict(stored, strict=True, assign=True)
    # Deep copies fail in as many ways as there are modules; what fails here is loaded as any other.
    except (OSError, RuntimeError, TypeError, SafetensorError):
        return None
    return model
