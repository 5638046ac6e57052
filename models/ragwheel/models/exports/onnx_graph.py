"""From a sentence-transformers model to a graph, and the exact torch it is measured against."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ragwheel.models.encoder import Side, TextEncoder, Vectors, batches_by_length
from ragwheel.models.exports.taken import ModelExportError
from ragwheel.schemas.errors import DependencyError

_OPSET = 17
#: Tokens that texts are batched by where a model reads all of a text.
_LONGEST = 4_096
_INPUTS = ("input_ids", "attention_mask")


class TorchFp32:
    """A model in torch without bfloat16, whatever the machine has."""

    def __init__(self, source: TextEncoder) -> None:
        self._source = source
        self._length = source.max_seq_length or _LONGEST
        source.model.eval()

    def encode(self, texts: Sequence[str], side: Side) -> Vectors:
        """Unit vectors of `texts`, in their order."""
        import torch

        model, prompt = self._source.model, self._source.prompt(side)
        result = np.zeros((len(texts), self._source.dimension), np.float32)
        with torch.inference_mode():
            for batch in batches_by_length(texts, self._length):
                chosen = [texts[index] for index in batch]
                features = model.preprocess(chosen, prompt=prompt or None)
                vectors = model(features)["sentence_embedding"]
                result[batch] = torch.nn.functional.normalize(vectors, dim=1).numpy()
        return result


def save_graph(source: TextEncoder, path: Path) -> None:
    """Write transformer, pooling and normalising as one graph of ids and mask.

    Raises:
        ModelExportError: the model is no transformer.
        DependencyError: onnx is not installed.
    """
    try:
        import onnx  # noqa: F401 # what torch writes with
        import torch
    except ImportError:
        raise DependencyError("onnx", "pip install 'ragwheel[onnx]'") from None

    model = source.model
    if not hasattr(model[0], "auto_model"):
        raise ModelExportError(
            f"{type(model[0]).__name__} is no transformer, and ONNX would make nothing faster: "
            "export --to folder"
        )

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            vectors = self.model(features)["sentence_embedding"]
            return torch.nn.functional.normalize(vectors, dim=1)

    example = model.preprocess(["one text", "and a longer one beside it"])
    length = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings(), torch.inference_mode():
        # The tracing exporter is said to be old; the new one needs a package more, a beta.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Whole().eval(),
            tuple(example[name] for name in _INPUTS),
            str(path),
            input_names=list(_INPUTS),
            output_names=["vectors"],
            dynamic_axes={**dict.fromkeys(_INPUTS, length), "vectors": {0: "texts"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def quantize(path: Path) -> None:
    """Replace a graph by one with 8-bit weights, a scale for each of their columns.

    Raises:
        DependencyError: onnxruntime is not installed.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        raise DependencyError("onnxruntime", "pip install 'ragwheel[onnx]'") from None

    with TemporaryDirectory() as folder:
        quantized = Path(folder) / "int8.onnx"
        # It advises to run a preparation that is for convolutions.
        logging.getLogger().addFilter(_says_no_preparation)
        try:
            quantize_dynamic(path, quantized, weight_type=QuantType.QInt8, per_channel=True)
        finally:
            logging.getLogger().removeFilter(_says_no_preparation)
        path.write_bytes(quantized.read_bytes())


def _says_no_preparation(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()
