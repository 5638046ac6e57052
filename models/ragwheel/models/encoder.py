"""Texts to unit vectors with a sentence-transformers model, at the speed of the machine.

A text is a query or a document, and whoever encodes one says which: many models (E5, BGE …) want
another prompt before each, and embed wrongly, without a word, when it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ragwheel.models.packaged import at_hub
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError, DependencyError, TerminalError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dimension); every row has length 1, so a dot product is a cosine."""
Tokens = npt.NDArray[np.int64]
"""Shape (texts,): the estimated length of each text for the model, at least 1."""
Progress = Callable[[int, int], None]
"""Called with (done, total); must be quick and must not raise."""
Side = Literal["query", "document"]
"""What a text is to the model."""

#: Names under which a model's configuration keeps the prompt of a side; those that
#: sentence-transformers' `encode_query` and `encode_document` look for, in their order.
_PROMPT_NAMES: Mapping[Side, tuple[str, ...]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}

#: Tokens of one forward pass: large enough to fill the cores, small enough to stay in cache.
_TOKENS_PER_BATCH = 4_096
_MAX_BATCH = 256
#: Sizes batches and counts work; source code and English have 3-5 characters per word piece.
_CHARS_PER_TOKEN = 3


class VectorError(TerminalError):
    """A text has no usable vector: one with NaN would be the nearest of everything."""


class Encoder(Protocol):
    """What the vector cache asks of a model."""

    @property
    def fingerprint(self) -> str:
        """Identity of the vector space: weights, kinds of modules, prompts, length.

        Not of the arithmetic: another machine than the trainer's must recognise the space.
        """

    @property
    def arithmetic(self) -> str:
        """With what precision vectors are computed here: `fp32`, `bf16`, `int8`."""

    def prompt(self, side: Side) -> str:
        """What is put before each text of that side; empty: nothing."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def again(self) -> Callable[[], Encoder] | None:
        """Loads an equal encoder in another process; None when its weights are in memory only."""

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """About how much work each text is; progress is counted in it."""

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        """Unit vectors of `texts`, in their order.

        Raises:
            VectorError: a text has none.
        """


class TextEncoder:
    """A sentence-transformers model of any kind, used for inference and by the training lanes.

    Not thread-safe, like the model in it.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        again: Callable[[], Encoder] | None = None,
        *,
        exact: bool = False,
    ) -> None:
        """Takes over `model`.

        Args:
            again: loads it once more; whoever trains the model leaves it out.
            exact: compute in full precision even where bfloat16 is native.
        """
        self.model = model
        self.again = again
        self._exact = exact
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """Digest of all weights, module types, prompts and the length limit in use.

        Vectors of equal fingerprints compare: in `bf16` and in `fp32` they agree to a cosine of
        .9999 and more.
        """
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(
                self.model, [self.prompt("query"), self.prompt("document")]
            )
        return self._fingerprint

    @property
    def arithmetic(self) -> str:
        """`bf16` where the hardware multiplies it natively, else `fp32`."""
        return "bf16" if not self._exact and _has_bfloat16(self.model.device.type) else "fp32"

    def exactly(self) -> TextEncoder:
        """The same model, computed in full precision."""
        return TextEncoder(self.model, exact=True)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.model.get_embedding_dimension() or 0)

    @property
    def max_seq_length(self) -> int | None:
        """Tokens that are read of a text; None: all of them."""
        limit = self.model.get_max_seq_length()
        return int(limit) if limit is not None and math.isfinite(limit) else None

    def prompt(self, side: Side) -> str:
        """The model's own prompt of that side, else its default prompt, else nothing."""
        prompts = self.model.prompts
        own = next((prompts[name] for name in _PROMPT_NAMES[side] if prompts.get(name)), None)
        return own or prompts.get(self.model.default_prompt_name or "") or ""

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        """Unit vectors of `texts`, in their order.

        Texts are batched by length: padding is the largest avoidable cost on a CPU. For the same
        reason `progress` counts tokens: the first batch holds a tenth of the texts of the last.

        Raises:
            VectorError: a vector holds NaN or is zero; names the text by its hash.
        """
        import torch

        result = np.zeros((len(texts), self.dimension), np.float32)
        self.model.eval()
        tokens, done = self.tokens(texts), 0
        with torch.inference_mode():
            for batch in batches_by_length(texts, self._longest()):
                vectors = self.embed([texts[index] for index in batch], side)
                result[batch] = vectors.cpu().numpy()
                refuse_unusable(result[batch], [texts[index] for index in batch])
                done += int(tokens[batch].sum())
                if progress is not None:
                    progress(done, int(tokens.sum()))
        return result

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Estimated tokens of each text, as far as the model reads it."""
        return estimated_tokens(texts, self._longest())

    def embed(self, texts: Sequence[str], side: Side) -> torch.Tensor:
        """One batch as a tensor of unit vectors; keeps gradients when they are enabled."""
        import torch

        features = self.model.preprocess(list(texts), prompt=self.prompt(side) or None)
        device = self.model.device
        features = {
            key: value.to(device) if isinstance(value, torch.Tensor) else value
            for key, value in features.items()
        }
        with nullcontext() if self._exact else mixed_precision(device.type):
            embedding = self.model(features)["sentence_embedding"]
        return torch.nn.functional.normalize(embedding.float(), dim=1)

    def _longest(self) -> int:
        """Tokens of the longest text that the model distinguishes from longer ones."""
        return self.max_seq_length or _TOKENS_PER_BATCH

    def save(self, folder: Path) -> None:
        """Write the model so that sentence-transformers loads it from `folder`."""
        self.model.save_pretrained(str(folder), create_model_card=False)


def load_encoder(
    name_or_path: str | Path,
    max_seq_length: int,
    prompts: Mapping[Side, str] | None = None,
) -> TextEncoder:
    """Load a model by Hugging Face id (`id@revision`) or folder; limit texts to `max_seq_length`.

    Args:
        prompts: instead of what the model's configuration says; saved with the model. Models such
            as E5 have prompts that only their documentation tells.

    Raises:
        ConfigError: there is no such model, or it is no text embedding model. Names the setting.
        DependencyError: sentence-transformers is not installed.
    """
    name = str(name_or_path)
    if name.startswith(("/", "./", "../", "~")) and not Path(name).is_dir():
        # Said before a library that takes ten seconds to import looks for it on the hub.
        raise _not_a_model(name, "there is no such folder")
    try:
        import torch
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging
    except ImportError:
        raise DependencyError("sentence-transformers", "pip install 'ragwheel[trainers]'") from None
    # A progress bar per load has no place in the log of a process.
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # unannotated
    try:
        # Eager attention: in bfloat16 the fused kernel of the CPU trains 28 % slower.
        attention = {} if torch.cuda.is_available() else {"attn_implementation": "eager"}
        bare, revision = at_hub(name)
        model = SentenceTransformer(bare, revision=revision, model_kwargs=attention)
    except (
        OSError,
        ValueError,
        KeyError,
        ImportError,
        RuntimeError,
        SafetensorError,
    ) as error:
        # A host that cannot be reached surfaces as RuntimeError of the HTTP client.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _not_a_model(name, reason[:200]) from None
    if not model.get_embedding_dimension():
        raise ConfigError(
            f"RAGWHEEL_BASE_MODEL: {name!r} makes no fixed-size vectors; choose a "
            "sentence-transformers embedding model"
        )
    limit = model.get_max_seq_length()
    # None or infinite: a bag of words, whose cost grows with nothing worth limiting.
    if limit is not None and math.isfinite(limit) and limit > max_seq_length:
        model.max_seq_length = max_seq_length
    for side, prompt in (prompts or {}).items():
        model.prompts = {
            **{k: v for k, v in model.prompts.items() if k not in _PROMPT_NAMES[side]},
            side: prompt,
        }
    return TextEncoder(model, partial(load_encoder, name, max_seq_length, prompts))


def refuse_unusable(vectors: Vectors, texts: Sequence[str]) -> None:
    """Raise VectorError if a vector is zero or holds NaN; names its text by the hash."""
    # A sum of squares is NaN or infinite when any of its parts is, and zero when all are.
    squares = np.einsum("ij,ij->i", vectors, vectors)
    bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    if len(bad):
        first = int(bad[0])
        what = "is zero" if squares[first] == 0 else "holds NaN or infinity"
        raise VectorError(
            f"the vector of text {identity.content_hash(texts[first])} {what} ({len(bad)} of "
            f"{len(texts)} in its batch): the model cannot embed it; remove the text from the "
            "index, or choose another model"
        )


def _not_a_model(name: str, reason: str) -> ConfigError:
    return ConfigError(
        f"RAGWHEEL_BASE_MODEL: {name!r} cannot be loaded ({reason}): name a sentence-transformers "
        "model on the Hugging Face hub, such as sentence-transformers/all-MiniLM-L6-v2, or the "
        "folder of one"
    )


def batches_by_length(texts: Sequence[str], max_seq_length: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield index batches of similarly long texts, longest first.

    Longest first, so that a batch that does not fit into memory fails at once, not at the end.
    """
    estimated = estimated_tokens(texts, max_seq_length)
    order = np.argsort(-estimated, kind="stable")
    at = 0
    while at < len(order):
        rows = int(np.clip(_TOKENS_PER_BATCH // estimated[order[at]], 1, _MAX_BATCH))
        yield order[at : at + rows]
        at += rows


def estimated_tokens(texts: Sequence[str], max_seq_length: int) -> Tokens:
    """About how much work each text is, without a tokenizer."""
    return np.array(
        [min(max_seq_length, len(text) // _CHARS_PER_TOKEN + 2) for text in texts], np.int64
    )


def mixed_precision(device: str) -> AbstractContextManager[Any]:
    """Autocast to bfloat16 where the hardware multiplies it natively, else full precision.

    Vectors keep a cosine above 0.9999 to full precision at 1.8 times the speed; without native
    support bfloat16 is emulated and slow.
    """
    import torch

    if _has_bfloat16(device):
        return torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext()


def _has_bfloat16(device: str) -> bool:
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device != "cpu":
        return False
    capabilities = torch.backends.cpu.get_cpu_capability()
    if not capabilities.startswith("AVX512"):
        return capabilities.startswith("SVE")
    capabilities_of = getattr(torch.cpu, "get_capabilities", None)  # absent in old versions
    flags = capabilities_of() if capabilities_of is not None else {}
    return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))


def _fingerprint(model: SentenceTransformer, prompts: Sequence[str]) -> str:
    import torch

    hasher = blake2b(digest_size=16, person=b"encoder")
    for module in model:
        hasher.update(type(module).__qualname__.encode())
    hasher.update(f"|{model.get_max_seq_length()}|".encode())
    # As they are used, whatever names a configuration keeps them under.
    hasher.update(f"{list(prompts)}|".encode())
    for name, tensor in sorted(model.state_dict().items()):
        hasher.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        hasher.update(memoryview(raw.numpy()))
    return hasher.hexdigest()
