"""Which model and which role a request asks for. A role is never guessed without saying so.

A model name is `NAME`, `NAME:query` or `NAME:document`. NAME is `ragwheel` (whatever serves), the
id of the model that serves, or the base model's name. A bare name means a query: that is the side
that is trained, and the one that a running service sends. Documents go to the document encoder,
which in the query lane is the unchanged base model: with the query's they would corrupt an index.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from ragwheel.models.encoder import Encoder, Side
from ragwheel.serving.contracts import InService
from ragwheel.serving.refusals import Refusal, wrong

_LOG = logging.getLogger(__name__)

#: The name that stays when the model changes.
ALIAS = "ragwheel"
#: What the APIs call the two roles: Cohere's input_type, Jina's task, sentence-transformers'
#: prompts, and vLLM's, which are those of the model.
ROLES: Mapping[str, Side] = {
    "query": "query",
    "search_query": "query",
    "retrieval.query": "query",
    "document": "document",
    "passage": "document",
    "corpus": "document",
    "search_document": "document",
    "retrieval.passage": "document",
}
#: Callers that are told once; more are not told any more.
_MOST_CALLERS = 1_024


@dataclass(frozen=True, slots=True)
class AskedFor:
    """What a request is for.

    Attributes:
        said: whether the request named its role.
    """

    generation: InService
    encoder: Encoder
    side: Side
    said: bool


def names(generation: InService) -> list[str]:
    """Model names that are answered now, without roles."""
    every = [ALIAS, generation.model_id]
    if _has_base(generation):
        every.append(generation.base_model)
    return list(dict.fromkeys(every))


def asked(generation: InService, model: str = ALIAS, role: str | None = None) -> AskedFor:
    """What `model` and `role` mean.

    Args:
        role: one of `ROLES`, from a field of the request; None: the name says it, or nobody.

    Raises:
        Refusal: 404 for another model, 400 for an unknown role or two that differ.
    """
    name, suffix = _split(model)
    known = names(generation)
    if name not in known:
        raise Refusal(
            404,
            f"model: {model[:100]!r} does not serve here; there are {', '.join(known)}, "
            "each as it is, or with :query or :document behind it",
            param="model",
            code="model_not_found",
        )
    side = _side(role)
    if side and suffix and side != suffix:
        raise wrong("model", f"{model!r} says {suffix}, and the request says {role!r}: say one")
    side = side or suffix
    chosen: Side = side or "query"
    # Who names the base model gets it, for queries too: its name must not mean another's vectors.
    is_base = name == generation.base_model != generation.model_id
    encoder = generation.document if is_base else generation.encoder(chosen)
    return AskedFor(generation, encoder, chosen, said=side is not None)


class Unsaid:
    """Tells each caller once that it did not say which role its texts have."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def note(self, caller: str, what: AskedFor) -> None:
        """Log a line for a caller whose bare model name was read as `query`, where that matters."""
        if what.said or not what.generation.role_matters or caller in self._told:
            return
        if len(self._told) < _MOST_CALLERS:
            self._told.add(caller)
            _LOG.warning(
                "%s asks without a role and gets query vectors, which are no documents' in this "
                "model: let it name the model %s:query or %s:document",
                caller,
                ALIAS,
                ALIAS,
            )


def _split(model: str) -> tuple[str, Side | None]:
    for side in ("query", "document"):
        if model.endswith(f":{side}"):
            return model.removesuffix(f":{side}"), ROLES[side]
    return model, None


def _side(role: str | None) -> Side | None:
    if role is None:
        return None
    if role not in ROLES:
        raise Refusal(
            400,
            f"{role[:100]!r} is no role of a text here: send one of {', '.join(ROLES)}",
            param="input_type",
            code="unknown_role",
        )
    return ROLES[role]


def _has_base(generation: InService) -> bool:
    """Whether the base model itself is loaded: alone, or as the encoder of documents."""
    return (
        generation.model_id == generation.base_model
        or generation.query.fingerprint != generation.document.fingerprint
    )
