"""A model before it serves: fetched, whole, loaded, warm, itself, and of the index's documents."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ragwheel.models.artifacts import ArtifactStore
from ragwheel.models.canaries import (
    CanaryError,
    EncodeFew,
    answers,
    encode_now,
    read_canaries,
    require_agreement,
)
from ragwheel.models.encoder import (
    Encoder,
    Side,
    TextEncoder,
    VectorError,
    Vectors,
    load_encoder,
)
from ragwheel.models.manifest import Manifest
from ragwheel.models.registry import ModelRegistry, RegisteredModel, RegistryError
from ragwheel.models.siblings import load_sibling
from ragwheel.schemas.errors import (
    ConfigError,
    DependencyError,
    RagwheelError,
    TerminalError,
    UnavailableError,
)
from ragwheel.schemas.settings import FollowSettings
from ragwheel.serving.contracts import InService
from ragwheel.serving.copies import with_copy
from ragwheel.serving.declared import Declarations

_LOG = logging.getLogger(__name__)

RefusalReason = Literal["unreachable", "artifact", "load", "canaries", "documents", "undeclared"]
"""`unreachable`: store or ClickHouse; `artifact`: missing or changed bytes; `load`: it, or its base
model, cannot be loaded; `canaries`: it computes other vectors; `documents`: the index holds vectors
of another space; `undeclared`: the index says nothing, and it is not of our base model."""


class RefusedModelError(TerminalError):
    """A model does not get into service.

    Attributes:
        reason: in one of few words, for the metric; the message says more.
    """

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ServedLast:
    """What served here last; empty where nothing did."""

    model_id: str = ""
    document_fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A model that may serve.

    Attributes:
        declared: its index declares the documents' space; otherwise nobody knows.
    """

    generation: InService
    declared: bool


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Makes generations of model ids. Slow (seconds): never called where requests are answered.

    Attributes:
        store: opens the artifact store; its errors are refusals too.
        local: where models are fetched to; one that is there whole is not fetched again.
        last: what served last, with every check passed: after a restart it serves again although
            ClickHouse is away.
        serving: what serves now; its document encoder is taken over where it is the right one.
        turns: how texts are encoded while others are; None: nobody else encodes.
    """

    settings: FollowSettings
    store: Callable[[], ArtifactStore]
    local: ModelRegistry
    declarations: Declarations
    last: Callable[[], ServedLast]
    serving: Callable[[], InService | None]
    turns: Callable[[], EncodeFew | None]
    _answered: dict[str, Vectors] = field(default_factory=dict)
    _base: dict[str, str] = field(default_factory=dict)

    def bring(self, model_id: str) -> Arrived:
        """A promoted model, every check passed.

        Raises:
            RefusedModelError: with what is wrong and the fix.
        """
        model = self._fetched(model_id)
        try:
            query, document = self._query_encoder(model), self._document_encoder(model)
            _ = query.fingerprint  # computed here and kept: requests ask for it
            found: dict[Side, Vectors] = {
                "query": self._answers(query, "query"),
                "document": self._of_documents(document),
            }
            require_agreement(read_canaries(model.folder), found, f"model {model_id}")
        except CanaryError as error:
            raise RefusedModelError("canaries", str(error)) from None
        except (ConfigError, DependencyError, VectorError) as error:
            raise RefusedModelError("load", f"model {model_id} cannot be loaded: {error}") from None
        generation = InService(
            model_id,
            model.manifest.base_model,
            document.fingerprint,
            with_copy(self.settings.serving_copies, model, query),
            document,
            _now(),
        )
        return Arrived(generation, self._declared(generation))

    def base(self) -> Arrived:
        """The base model, as it serves while nothing is promoted.

        Raises:
            RefusedModelError: it cannot be loaded, or the index holds other documents.
        """
        settings = self.settings
        try:
            encoder = load_encoder(settings.base_model, settings.max_seq_length, settings.prompts)
            self._of_documents(encoder)  # warm, and for the models that come
        except (ConfigError, DependencyError, VectorError) as error:
            raise RefusedModelError("load", str(error)) from None
        name = settings.base_model
        generation = InService(name, name, encoder.fingerprint, encoder, encoder, _now())
        return Arrived(generation, self._declared(generation))

    def _fetched(self, model_id: str) -> RegisteredModel:
        try:
            return self.store().fetch(model_id, self.local)
        except UnavailableError as error:
            raise RefusedModelError("unreachable", str(error)) from None
        except RegistryError as error:
            raise RefusedModelError("artifact", str(error)) from None
        except RagwheelError as error:  # the scheme's package, or the setting
            raise RefusedModelError("unreachable", str(error)) from None

    def _query_encoder(self, model: RegisteredModel) -> TextEncoder:
        """Loaded by way of the one that serves, where both are used in turn and alike."""
        length, serving = model.manifest.config.max_seq_length, self.serving()
        if self.turns() and serving:
            with suppress(RegistryError):  # the base model serves: no folder of ours
                before = self.local.get(serving.model_id)
                if before.manifest.config.max_seq_length == length:
                    known, folder = serving.query, before.query_encoder
                    return load_sibling(model.query_encoder, length, known, folder)
        return load_encoder(model.query_encoder, length)

    def _document_encoder(self, model: RegisteredModel) -> Encoder:
        """The base model that embedded the documents: by our name of it, or by the trainer's."""
        manifest, found = model.manifest, []
        serving = self.serving()
        if serving and serving.document.fingerprint == manifest.document_fingerprint:
            return serving.document
        names = dict.fromkeys((self.settings.base_model, manifest.base_model))
        for name in names:
            try:
                encoder = _base_of(manifest, name)
            except ConfigError as error:
                found.append(str(error))
                continue
            if encoder.fingerprint == manifest.document_fingerprint:
                return encoder
            found.append(f"{name} has fingerprint {encoder.fingerprint}")
        raise RefusedModelError(
            "load",
            f"model {model.model_id} is compared with documents of {manifest.base_model} "
            f"({manifest.document_fingerprint}), which is not here ({'; '.join(found)}): set "
            "RAGWHEEL_BASE_MODEL to that model and revision",
        )

    def _of_documents(self, encoder: Encoder) -> Vectors:
        """The canaries by an encoder of documents, computed once: later it answers requests."""
        key = encoder.fingerprint
        if key not in self._answered:
            self._answered[key] = self._answers(encoder, "document")
        return self._answered[key]

    def _answers(self, encoder: Encoder, side: Side) -> Vectors:
        return answers(encoder, side, self.turns() or encode_now)

    def _declared(self, generation: InService) -> bool:
        """Whether the index declares the generation's documents.

        Raises:
            RefusedModelError: it declares others; or nothing, and the generation's are not those of
                our base model.
        """
        index = self.settings.serving_index
        name = f"index {index!r}" if index else "the index"
        ours = generation.document_fingerprint
        try:
            declared = self.declarations.fingerprint_of(index)
        except RagwheelError as error:
            if self.last() == ServedLast(generation.model_id, ours):
                return True
            raise RefusedModelError(
                "unreachable", f"what {name} holds is not known: {error}"
            ) from None
        if declared and declared != ours:
            raise RefusedModelError(
                "documents",
                f"{generation.model_id} is compared with documents of space {ours}, and {name} "
                f"declares {declared}: vectors of two spaces do not compare, whatever their "
                "dimension. Re-embed the index (`ragwheel reembed plan`), or set "
                "RAGWHEEL_SERVING_INDEX to the index that is searched",
            )
        if declared:
            return True
        settings = self.settings
        if self._base_fingerprint() != ours:
            raise RefusedModelError(
                "undeclared",
                f"{name} declares no document_fingerprint, and {generation.model_id} is not of "
                f"{settings.base_model} as it is loaded here: declare it (`emit_index(…, "
                f"document_fingerprint={ours!r})`)",
            )
        _LOG.warning(
            "%s declares no document_fingerprint: %s serves because its documents are those of "
            "%s; declare it with emit_index(…, document_fingerprint=%r)",
            name, generation.model_id, settings.base_model, ours,
        )  # fmt: skip
        return False

    def _base_fingerprint(self) -> str:
        """Of our base model, loaded once to know it."""
        settings = self.settings
        if settings.base_model not in self._base:
            base = load_encoder(settings.base_model, settings.max_seq_length, settings.prompts)
            self._base[settings.base_model] = base.fingerprint
        return self._base[settings.base_model]


def _base_of(manifest: Manifest, name: str) -> TextEncoder:
    sides = manifest.sides
    return load_encoder(
        name,
        manifest.config.max_seq_length,
        {"query": sides.query_prompt, "document": sides.document_prompt},
    )


def _now() -> datetime:
    return datetime.now(UTC)
