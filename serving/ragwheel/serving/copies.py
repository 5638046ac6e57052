"""An ONNX copy that answers queries in place of its model, where one was measured and is here.

Queries alone: documents are the index's, and are embedded as they were.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ragwheel.models.canaries import LEAST_COSINE, answers, read_canaries
from ragwheel.models.encoder import Encoder
from ragwheel.models.exports.onnx_encoder import OnnxEncoder, Precision, load_onnx
from ragwheel.models.registry import RegisteredModel
from ragwheel.schemas.errors import ConfigError, RagwheelError

_LOG = logging.getLogger(__name__)
#: Least cosine of a copy's canaries to those of its model. int8 moves every vector; what that costs
#: was measured as recall when the copy was made, and here only a broken runtime is looked for.
_LEAST: Mapping[Precision, float] = {"fp32": LEAST_COSINE, "int8": 0.9}


def with_copy(copies: Path | None, model: RegisteredModel, query: Encoder) -> Encoder:
    """Who encodes queries: the copy in `copies/<model id>`, or without one the model itself.

    A copy that does not fit is told in the log, and the model answers: it is never in the way of a
    promotion. Another model that is promoted is answered by its own copy, or by itself.

    Args:
        copies: what `ragwheel models export ID COPIES/ID --to onnx` wrote; None: no copies.
        query: the model's own encoder, every check passed.
    """
    if copies is None or not (folder := copies / model.model_id).is_dir():
        return query
    try:
        copy = load_onnx(folder)
        _require_fit(copy, model, query)
    except RagwheelError as error:
        _LOG.warning("%s answers without its copy: %s", model.model_id, error)
        return query
    _LOG.info("%s answers queries by its %s copy", model.model_id, copy.spec.precision)
    return copy


def _require_fit(copy: OnnxEncoder, model: RegisteredModel, query: Encoder) -> None:
    spec = copy.spec
    said = (spec.model_id, spec.side, copy.fingerprint)
    wanted = (model.model_id, "query", query.fingerprint)
    if said != wanted:
        raise ConfigError(
            f"it is of model, side and space {', '.join(said)}, and not of {', '.join(wanted)}: "
            "export the query side of that model"
        )
    stored = read_canaries(model.folder)["query"]
    least = float(np.einsum("ij,ij->i", answers(copy, "query"), stored).min())
    if least < _LEAST[spec.precision]:
        raise ConfigError(
            f"it embeds a canary otherwise than its model (cosine {least:.4f}, at least "
            f"{_LEAST[spec.precision]} is needed): export it again with this onnxruntime"
        )
