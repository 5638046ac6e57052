"""Who competes at a gate: what serves, what served first, keyword search, production itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ragwheel.models.encoder import Progress, TextEncoder, Vectors, load_encoder
from ragwheel.models.manifest import TrainConfig
from ragwheel.models.registry import ModelRegistry, RegisteredModel
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data.records import Corpus, LoggedRanking
from ragwheel.trainers.systems.contracts import Retriever
from ragwheel.trainers.systems.dense import EncoderSystem
from ragwheel.trainers.systems.lexical import LexicalSystem
from ragwheel.trainers.systems.observed import ObservedSystem, replaced_stage, served_by

_WORTH_TELLING_S = 60.0
_WORTH_ASKING = 4_096


@dataclass(frozen=True, slots=True)
class Lineup:
    """The systems that a candidate meets.

    Attributes:
        base: the encoder of documents and the beginning of training.
        documents: vectors of the corpus by `base`.
        incumbent: our reproduction of what serves.
        serving: id of the promoted model; None: the base model serves.
        observed: what production returned since `serving` was promoted.
        in_force: prompts and lengths that we use, beside what the index declares.
        unseen: in words, that production serves another model than the promoted one; empty: it
            serves that one, or does not say.
    """

    base: TextEncoder
    documents: Vectors = field(repr=False)
    incumbent: EncoderSystem
    serving: str | None
    observed: ObservedSystem
    others: dict[str, Retriever]
    in_force: dict[str, object]
    unseen: str = ""


def line_up(
    settings: TrainerSettings,
    config: TrainConfig,
    registry: ModelRegistry,
    cache: VectorCache,
    corpus: Corpus,
    logged: Sequence[LoggedRanking],
    progress: Progress,
    tell: Callable[[str], None],
) -> Lineup:
    """Load and embed what a gate needs besides the candidate.

    Args:
        tell: called with what embedding is about to cost, where that is more than a moment.

    Raises:
        ConfigError: the base model, or that of the promoted model, cannot be loaded.
        VectorError: a chunk cannot be embedded.
    """
    base = load_encoder(settings.base_model, config.max_seq_length, settings.prompts)
    # Knowing the price costs embedding a few texts twice, so it is asked for large ones alone.
    cost = cache.estimate(base, corpus.texts) if len(corpus.texts) >= _WORTH_ASKING else None
    if cost is not None and cost.seconds >= _WORTH_TELLING_S:
        tell(
            f"embedding {cost.texts:,} new texts, {cost.tokens:,} tokens: about "
            f"{cost.seconds / 60:.0f} minutes of one process on this machine, shared by "
            f"{settings.embed_workers}"
        )
    documents = cache.embed(base, corpus.texts, progress=progress)
    own = EncoderSystem(
        settings.base_model, partial(cache.embed, base, side="query"), documents, corpus
    )
    others: dict[str, Retriever] = {"bm25": LexicalSystem(corpus)}
    incumbent = own
    current, unseen = _in_service(settings.base_model, registry, served_by(logged))
    since = [each.at for each in registry.promotions()][-1:]
    if current is not None:
        others["base"] = own
        manifest = current.manifest
        encoder = load_encoder(current.query_encoder, manifest.config.max_seq_length)
        if manifest.document_fingerprint != base.fingerprint:
            # Promoted under another base model, prompt or length: that one embeds its documents.
            of_documents = load_encoder(
                manifest.base_model, manifest.config.max_seq_length, settings.prompts
            )
            documents_then = cache.embed(of_documents, corpus.texts, progress=progress)
        else:
            documents_then = documents
        incumbent = EncoderSystem(
            current.model_id, partial(cache.embed, encoder, side="query"), documents_then, corpus
        )
    # What was returned before the promotion was another model's.
    logged = [
        each
        for each in logged
        if each.model_id == incumbent.name
        or (not (each.model_id or unseen) and all(each.ts >= at for at in since))
    ]
    observed = ObservedSystem(replaced_stage(logged), logged, corpus)
    if observed.stage:
        others["observed"] = observed
    return Lineup(
        base, documents, incumbent, registry.current_id(), observed, others,
        _in_force(base, corpus), unseen,
    )  # fmt: skip


def _in_service(
    base_model: str, registry: ModelRegistry, observed: str
) -> tuple[RegisteredModel | None, str]:
    """What a candidate is compared with: what production serves, where it says so.

    Returns:
        The model; None: the base model. And what is to be said where that is not the promoted one.
    """
    promoted = registry.current()
    if observed in ("", promoted.model_id if promoted else base_model):
        return promoted, ""
    if observed != base_model and observed not in registry.ids():
        return promoted, f"production serves {observed}, which is no model of this registry"
    serving = None if observed == base_model else registry.get(observed)
    name = promoted.model_id if promoted else f"the base model ({base_model})"
    return serving, (
        f"compared with {observed}, which production serves: {name} is promoted and not observed"
    )


def _in_force(base: TextEncoder, corpus: Corpus) -> dict[str, object]:
    """What we embed with, beside what each index says of itself."""
    return {
        "max_seq_length": base.max_seq_length,
        "query_prompt": base.prompt("query"),
        "document_prompt": base.prompt("document"),
        "declared": {
            index.name: {
                "embedding_model": index.declared.embedding_model,
                "max_seq_length": index.declared.max_seq_length,
                "document_prompt": index.declared.prompt,
            }
            for index in corpus.indexes
            if index.declared is not None
        },
    }
