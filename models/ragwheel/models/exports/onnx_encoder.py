"""An encoder in ONNX Runtime, loaded from the folder that `onnx_folder` wrote.

Needs onnxruntime and tokenizers, and neither torch nor sentence-transformers.

An fp32 copy was proven to make the vectors of its source, so it names the same space. An int8 copy
of a *query* side does, too: its queries are compared with the documents of the source, and what
that costs was measured. Vectors of an int8 *document* side are another index's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from ragwheel.models.encoder import (
    Encoder,
    Progress,
    Side,
    Tokens,
    VectorError,
    Vectors,
    batches_by_length,
    estimated_tokens,
    refuse_unusable,
)
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError, DependencyError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPEC_FILE = "onnx_encoder.json"
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"

Precision = Literal["fp32", "int8"]


class OnnxSpec(BaseModel):
    """What an ONNX folder says of itself.

    Attributes:
        fingerprint: space of its vectors.
        pad_id: of `pad_token`, which fills short texts of a batch.
        digests: file → BLAKE2b of its bytes.
        measured: figures that it was offered by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    model_id: str
    side: Side
    precision: Precision
    fingerprint: str
    dimension: int
    max_seq_length: int
    prompts: dict[Side, str]
    pad_token: str
    pad_id: int
    digests: dict[str, str]
    measured: dict[str, FiniteFloat]


class OnnxEncoder:
    """A whole encoder, pooling and normalising included. Encodes one side.

    Thread-safe: ONNX Runtime and the tokenizer are.
    """

    def __init__(
        self,
        spec: OnnxSpec,
        session: Any,
        tokenizer: Tokenizer,
        again: Callable[[], Encoder] | None = None,
    ) -> None:
        """Takes over a session of `onnxruntime`, and a tokenizer."""
        self.spec = spec
        self.again = again
        self._session = session
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(spec.max_seq_length)
        self._tokenizer.enable_padding(pad_id=spec.pad_id, pad_token=spec.pad_token)

    @property
    def fingerprint(self) -> str:
        """Space of its vectors."""
        return self.spec.fingerprint

    @property
    def arithmetic(self) -> str:
        """`fp32` or `int8`."""
        return self.spec.precision

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.spec.dimension

    def prompt(self, side: Side) -> str:
        """What is put before each text of that side; empty: nothing."""
        return self.spec.prompts[side]

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Estimated tokens of each text, as far as the model reads it."""
        return estimated_tokens(texts, self.spec.max_seq_length)

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        """Unit vectors of `texts`, in their order.

        Raises:
            VectorError: a text has none, or is of a side that was not measured in int8.
        """
        if side != self.spec.side and self.spec.precision == "int8":
            raise VectorError(
                f"this int8 copy of {self.spec.model_id} encodes texts of the {self.spec.side} side"
                f" only: export the {side} side, too"
            )
        result = np.zeros((len(texts), self.dimension), np.float32)
        tokens, done = self.tokens(texts), 0
        for batch in batches_by_length(texts, self.spec.max_seq_length):
            chosen = [texts[index] for index in batch]
            result[batch] = self._run([self.prompt(side) + text for text in chosen])
            refuse_unusable(result[batch], chosen)
            done += int(tokens[batch].sum())
            if progress is not None:
                progress(done, int(tokens.sum()))
        return result

    def _run(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = self._tokenizer.encode_batch(list(texts))
        inputs = {
            "input_ids": np.array([row.ids for row in rows], np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], np.int64),
        }
        (vectors,) = self._session.run(None, inputs)
        return np.asarray(vectors, np.float32)


def load_onnx(folder: Path) -> OnnxEncoder:
    """The encoder in a folder, after a check that its files are those that were measured.

    Raises:
        ConfigError: the folder holds no ONNX encoder, or was changed.
        DependencyError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError:
        raise DependencyError("onnxruntime", "pip install 'ragwheel[onnx]'") from None
    try:
        spec = OnnxSpec.model_validate_json((folder / SPEC_FILE).read_bytes())
        for name, digest in spec.digests.items():
            if digest_of(folder / name) != digest:
                raise ConfigError(f"{folder / name} was changed: export the model again")
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"{folder} holds no ONNX encoder ({error}): `ragwheel models export ID --to onnx` "
            "writes one"
        ) from None
    session = onnxruntime.InferenceSession(
        str(folder / MODEL_FILE), providers=["CPUExecutionProvider"]
    )
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    return OnnxEncoder(spec, session, tokenizer, partial(load_onnx, folder))


def digest_of(path: Path) -> str:
    """BLAKE2b of a file's bytes, read piece by piece."""
    hasher = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def space_of(source: str, side: Side, precision: Precision) -> str:
    """Fingerprint of a copy of the encoder `source`."""
    if side == "document" and precision == "int8":
        return identity.digest("int8 documents", source)
    return source
