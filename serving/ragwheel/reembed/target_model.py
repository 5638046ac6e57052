"""The models of a re-embedding: the one to come, and the one that is searched now.

A target is what a base model can be (a folder, or a name at the hub), or the id of a registered
model. The document side makes the index, the query side asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ragwheel.models.encoder import Encoder, Side, load_encoder
from ragwheel.models.registry import ModelRegistry
from ragwheel.reembed.states import Reembed, ReembedRefusedError
from ragwheel.schemas.settings import EmbeddingSettings


@dataclass(frozen=True, slots=True)
class TargetModel:
    """Loads the two sides of a model; both can be sent to another process."""

    document: Callable[[], Encoder]
    query: Callable[[], Encoder]


def target_of(
    settings: EmbeddingSettings,
    name: str,
    max_seq_length: int,
    prompts: Mapping[Side, str] | None = None,
) -> TargetModel:
    """The target that is called `name`.

    Args:
        prompts: instead of what the model's configuration says.
    """
    registry = ModelRegistry(settings.model_dir)
    if name not in registry.ids():
        load = partial(load_encoder, name, max_seq_length, prompts)
        return TargetModel(load, load)
    model = registry.get(name)
    query = partial(load_encoder, model.query_encoder, max_seq_length, prompts)
    if model.manifest.document_fingerprint != model.manifest.base_fingerprint:
        return TargetModel(query, query)
    return TargetModel(
        partial(load_encoder, model.manifest.base_model, max_seq_length, prompts), query
    )


def planned_target(settings: EmbeddingSettings, reembed: Reembed) -> TargetModel:
    """The target as it was planned, prompts and length included."""
    prompts: dict[Side, str] = {
        "query": reembed.query_prompt, "document": reembed.document_prompt,
    }  # fmt: skip
    return target_of(settings, reembed.target, reembed.max_seq_length, prompts)


def load_planned(settings: EmbeddingSettings, reembed: Reembed) -> tuple[Encoder, TargetModel]:
    """The document encoder of the new build, and both sides to load again.

    Raises:
        ReembedRefusedError: what is loaded is another model than was planned.
        ConfigError: it cannot be loaded.
    """
    target = planned_target(settings, reembed)
    encoder = target.document()
    if encoder.fingerprint != reembed.document_fingerprint:
        raise ReembedRefusedError(
            f"{reembed.target} makes vectors of {encoder.fingerprint} here, and the plan is for "
            f"{reembed.document_fingerprint}: another revision or folder; name the one that was "
            "planned, or abort and plan again"
        )
    return encoder, target


def searching_encoder(settings: EmbeddingSettings, reembed: Reembed) -> tuple[Encoder | None, str]:
    """What encodes the queries of the build that is replaced; None, and why nobody here can."""
    registry = ModelRegistry(settings.model_dir)
    current = registry.current()
    if current and current.manifest.document_fingerprint == reembed.from_fingerprint:
        return load_encoder(
            current.query_encoder, current.manifest.config.max_seq_length, settings.prompts
        ), ""
    base = load_encoder(settings.base_model, settings.max_seq_length, settings.prompts)
    if base.fingerprint == reembed.from_fingerprint:
        return base, ""
    return None, (
        f"{settings.base_model} is {base.fingerprint} here, and the build that is searched holds "
        f"vectors of {reembed.from_fingerprint}: RAGWHEEL_BASE_MODEL, the prompts and the length "
        "must be those that it was made with"
    )
