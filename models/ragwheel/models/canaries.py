"""What a model must answer wherever it is loaded: fixed texts, and documents to compare with.

    canaries.npz    query, document: vectors of `TEXTS`, float32, shape (32, dimension)
    reference.npz   hashes: content hashes, 16 bytes each; vectors: float32, of the same documents

Both are made at registration, the canaries in full precision. A server that computes other vectors
of them has other weights, another tokenizer, prompt or length, whatever its files are called. The
reference holds no texts: it is what overlap@10 of two models is measured against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragwheel.models.encoder import Encoder, Side, TextEncoder, Vectors
from ragwheel.schemas.errors import TerminalError

CANARIES_FILE = "canaries.npz"
REFERENCE_FILE = "reference.npz"
#: Least cosine of a canary: bfloat16 keeps .9999 to full precision; another model is far below.
LEAST_COSINE = 0.9999
#: Documents of the reference at most: 3 MB at 384 dimensions.
REFERENCE_DOCUMENTS = 2_000
#: Texts of one turn: hardly slower than one alone, and a query that waits for them notices little.
_TOGETHER = 4
SIDES: tuple[Side, ...] = ("query", "document")

#: Of no user: our own, of several kinds and lengths. Their order and wording never change within a
#: manifest format.
TEXTS: tuple[str, ...] = (
    "how do I reset my password?",
    "refund policy for damaged goods",
    "What is the capital of the country with the longest coastline?",
    "error: connection refused on port 5432",
    "opening hours on public holidays",
    "difference between a list and a tuple",
    "SELECT name, count(*) FROM orders GROUP BY name",
    "Wie kündige ich mein Abonnement?",
    "¿Dónde está la estación de tren más cercana?",
    "comment exporter un fichier en PDF",
    "配送にはどのくらいかかりますか",
    "invoice 2024-00317 is missing",
    "side effects of ibuprofen in children",
    "def add(a: int, b: int) -> int: return a + b",
    "battery drains fast after update",
    "the quarterly report is due on Friday",
    "To change the oil, let the engine cool, remove the drain plug and catch what runs out.",
    "The museum holds four thousand paintings, most of them given by private collectors.",
    "Bread rises because yeast turns sugar into carbon dioxide.",
    "All employees are entitled to thirty days of paid leave per calendar year.",
    "Returned parcels are checked within two working days after they arrive at the warehouse.",
    "A mutex lets one thread at a time into a critical section.",
    "The river floods in spring, when the snow of the upper valleys melts within a few weeks.",
    "Keys are rotated every ninety days; an old key stays valid for one more day.",
    "Pour the mixture into a buttered dish and bake it for forty minutes at 180 degrees.",
    "Customs duties are paid by the recipient unless the contract says otherwise.",
    "x",
    "42",
    "Yes.",
    "A long text is cut after as many tokens as the model reads. " * 12,
    "GET /api/v2/items?limit=50&offset=100 HTTP/1.1",
    "Tabs\tand\nline breaks   and   spaces",
)


EncodeFew = Callable[[Encoder, Sequence[str], Side], Vectors]
"""Encodes a few texts, shape (texts, dimension); raises VectorError."""


class CanaryError(TerminalError):
    """A loaded model does not compute what it computed when it was registered."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A sample of the corpus, as the base model embedded it.

    Attributes:
        hashes: shape (documents, 16): content hashes.
        vectors: shape (documents, dimension), unit length.
    """

    hashes: npt.NDArray[np.uint8]
    vectors: Vectors

    def overlap(self, ours: Vectors, theirs: Vectors, depth: int = 10) -> npt.NDArray[np.float64]:
        """Share of the first `depth` documents that both queries of a pair find, per pair, 0-1."""
        depth = min(depth, len(self.vectors))
        first, second = (
            np.argpartition(-(each @ self.vectors.T), depth - 1, axis=1)[:, :depth]
            for each in (ours, theirs)
        )
        common = [len(np.intersect1d(a, b)) for a, b in zip(first, second, strict=True)]
        return np.array(common, np.float64) / depth


def canary_vectors(encoder: TextEncoder, side: Side) -> Vectors:
    """What an encoder answers to `TEXTS` in full precision."""
    return encoder.exactly().encode(TEXTS, side)


def write_canaries(folder: Path, query: Vectors, document: Vectors) -> None:
    """Store the canary vectors of both sides of a model."""
    np.savez(folder / CANARIES_FILE, query=query, document=document)


def write_reference(folder: Path, hashes: Sequence[str], documents: Vectors, seed: int) -> None:
    """Store a sample of the corpus, the same for equal corpus and seed.

    Args:
        documents: vectors of the texts with `hashes`.
    """
    count = min(REFERENCE_DOCUMENTS, len(hashes))
    rows = np.sort(np.random.default_rng(seed).choice(len(hashes), count, replace=False))
    raw = b"".join(bytes.fromhex(hashes[row]) for row in rows)
    np.savez(
        folder / REFERENCE_FILE,
        hashes=np.frombuffer(raw, np.uint8).reshape(count, -1),
        vectors=documents[rows].astype(np.float32),
    )


def read_canaries(folder: Path) -> dict[Side, Vectors]:
    """Vectors of `TEXTS` by side, as they were at registration.

    Raises:
        CanaryError: the model has none, or not those of `TEXTS`.
    """
    try:
        with np.load(folder / CANARIES_FILE) as stored:
            found: dict[Side, Vectors] = {side: stored[side] for side in SIDES}
    except (OSError, KeyError, ValueError) as error:
        raise CanaryError(f"{folder / CANARIES_FILE} cannot be read ({error})") from None
    if any(vectors.shape[:1] != (len(TEXTS),) for vectors in found.values()):
        raise CanaryError(f"{folder / CANARIES_FILE} is of other texts: register the model anew")
    return found


def read_reference(folder: Path) -> Reference | None:
    """The sample of a model; None where it has none."""
    try:
        with np.load(folder / REFERENCE_FILE) as stored:
            return Reference(stored["hashes"], stored["vectors"])
    except (OSError, KeyError, ValueError):
        return None


def encode_now(encoder: Encoder, texts: Sequence[str], side: Side) -> Vectors:
    """A few texts, in this thread."""
    return encoder.encode(texts, side)


def answers(encoder: Encoder, side: Side, encode_few: EncodeFew = encode_now) -> Vectors:
    """What a loaded encoder answers to `TEXTS`: a few at a time, so that others get a turn.

    Args:
        encode_few: where other threads encode, it waits for a turn among them.
    """
    parts = range(0, len(TEXTS), _TOGETHER)
    return np.concatenate([encode_few(encoder, TEXTS[at : at + _TOGETHER], side) for at in parts])


def require_agreement(
    stored: Mapping[Side, Vectors], found: Mapping[Side, Vectors], name: str
) -> float:
    """Compare what loaded encoders answer with what was stored; the least cosine.

    Raises:
        CanaryError: a canary is below `LEAST_COSINE`, or has another dimension.
    """
    least = 1.0
    for side in SIDES:
        if found[side].shape != stored[side].shape:
            raise CanaryError(
                f"{name} makes {side} vectors of {found[side].shape[1]} dimensions here, and made "
                f"{stored[side].shape[1]} when it was registered"
            )
        cosines = np.einsum("ij,ij->i", found[side], stored[side])
        at = int(cosines.argmin())
        least = min(least, float(cosines[at]))
        if cosines[at] < LEAST_COSINE:
            raise CanaryError(
                f"{name} embeds the {side} {TEXTS[at][:40]!r} otherwise than when it was "
                f"registered (cosine {cosines[at]:.4f}, at least {LEAST_COSINE} is needed): "
                "another base model or revision, prompt, length or tokenizer is loaded"
            )
    return least
