"""Embeddings on disk, so that no text is embedded twice by the same model.

One folder per (model fingerprint, side, prompt of that side); in it shards that are written once,
under the digest of their own bytes, by a durable rename. Two processes may fill one cache at
the same time: the worst case is a text embedded by both. A shard whose bytes do not match its name
is set aside and its texts are embedded again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from ragwheel.backends import files
from ragwheel.models.encoder import Encoder, Progress, Side, Vectors
from ragwheel.schemas import identity

_LOG = logging.getLogger(__name__)

#: Texts per shard: what a crash loses at most, about 15 s of work on two cores.
_SHARD_TEXTS = 1_024
_KEY_BYTES = 16


class VectorCache:
    """Vectors keyed by model, side, prompt and exact text.

    Not thread-safe; safe between processes. Everything asked for is held in memory by the caller
    only: the cache itself keeps nothing open.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is created when the first vectors are stored."""
        self._folder = folder

    def embed(
        self,
        encoder: Encoder,
        texts: Sequence[str],
        *,
        side: Side = "document",
        progress: Progress | None = None,
    ) -> Vectors:
        """Unit vectors of `texts`, in their order; only unknown texts are embedded.

        Args:
            progress: called with (tokens known, tokens wanted), cached texts included; what it
                raises ends the work, and full shards are kept.
        """
        prompt = encoder.prompt(side)
        keys = [bytes.fromhex(identity.content_hash(text)) for text in texts]
        folder = self._folder / identity.digest("vectors", encoder.fingerprint, side, prompt)
        result = np.zeros((len(texts), encoder.dimension), np.float32)
        rows: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        for shard in sorted(folder.glob("*.shard")):
            for key, vector in _read(shard, encoder.dimension):
                for row in rows.pop(key, ()):
                    result[row] = vector
        missing = [indices[0] for indices in rows.values()]
        # By length, so that shards as well as batches hold texts of one size.
        missing.sort(key=lambda row: -len(texts[row]))
        tokens = encoder.tokens(texts)
        total = int(tokens.sum())
        done = total - sum(int(tokens[indices].sum()) for indices in rows.values())
        for at in range(0, len(missing), _SHARD_TEXTS):
            part = missing[at : at + _SHARD_TEXTS]
            vectors = encoder.encode(
                [texts[row] for row in part], side, progress=_shifted(progress, done, total)
            )
            _write(folder, [keys[row] for row in part], vectors)
            for row, vector in zip(part, vectors, strict=True):
                result[rows[keys[row]]] = vector
                done += int(tokens[rows[keys[row]]].sum())
            if progress is not None:
                progress(done, total)
        if not missing and progress is not None:
            progress(total, total)
        return result


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of a part as progress of the whole."""
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(before + done, total)


def _read(path: Path, dimension: int) -> list[tuple[bytes, Vectors]]:
    """(key, vector) pairs of a shard; none, and the file set aside, when it is damaged."""
    raw = path.read_bytes()
    record = _KEY_BYTES + 4 * dimension
    if blake2b(raw, digest_size=16).hexdigest() != path.stem or len(raw) % record:
        _LOG.warning("vector shard %s is damaged; its texts are embedded again", path)
        files.put_in_place(path, path.with_suffix(".damaged"))
        return []
    table = np.frombuffer(raw, np.uint8).reshape(-1, record)
    vectors = table[:, _KEY_BYTES:].copy().view("<f4")
    return [(table[row, :_KEY_BYTES].tobytes(), vectors[row]) for row in range(len(table))]


def _write(folder: Path, keys: Sequence[bytes], vectors: Vectors) -> None:
    table = np.empty((len(keys), _KEY_BYTES + 4 * vectors.shape[1]), np.uint8)
    table[:, :_KEY_BYTES] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY_BYTES)
    table[:, _KEY_BYTES:] = np.ascontiguousarray(vectors, "<f4").view(np.uint8)
    raw = table.tobytes()
    files.replace_file(folder / f"{blake2b(raw, digest_size=16).hexdigest()}.shard", raw)
