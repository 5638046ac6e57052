"""Embeddings on disk, so that no text is embedded twice by the same model.

One folder per (model fingerprint, arithmetic, side, prompt of that side); in it shards that are
written once, under the digest of their own bytes, by a durable rename. Two processes may fill one
cache at the same time: the worst case is a text embedded by both. A shard whose bytes do not match
its name is set aside and its texts are embedded again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np

from ragwheel.backends import files
from ragwheel.models.embedding_pool import run_parts
from ragwheel.models.encoder import Encoder, Progress, Side, Vectors
from ragwheel.models.ray_pool import RayPool
from ragwheel.schemas import identity

WorkersPlace = Literal["local", "ray"]
"""Processes of this machine, or actors of the cluster of RAY_ADDRESS."""

_LOG = logging.getLogger(__name__)

#: Texts per shard: what a crash loses at most, about 15 s of work on two cores.
_SHARD_TEXTS = 1_024
_KEY_BYTES = 16
#: A file whose time says when a folder of vectors was last asked.
USED = "used"
#: Texts that are embedded to know the speed.
_PROBE_TEXTS = 64


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an embedding is going to cost.

    Attributes:
        texts: different texts without a vector.
        tokens: in them, as far as the model reads.
        seconds: in one process on this machine; several share it.
    """

    texts: int
    tokens: int
    seconds: float


class VectorCache:
    """Vectors keyed by model, arithmetic, side, prompt and exact text.

    Not thread-safe; safe between processes. Everything asked for is held in memory by the caller
    only: the cache itself keeps nothing open.
    """

    def __init__(self, folder: Path, workers: int = 1, on: WorkersPlace = "local") -> None:
        """`folder` is created when the first vectors are stored.

        Args:
            workers: processes that share what fills more than one shard, where the encoder can be
                loaded again in each.
            on: where they are. What a worker of a Ray cluster made is stored here, by this process.
        """
        self._on: WorkersPlace = on
        self._folder = folder
        self._workers = workers

    def estimate(
        self, encoder: Encoder, texts: Sequence[str], *, side: Side = "document"
    ) -> Estimate:
        """What `embed` would do, by embedding a few of the missing texts and timing it."""
        folder = self._of(encoder, side)
        known = {key for shard in sorted(folder.glob("*.shard")) for key in _keys(shard, encoder)}
        missing = [text for text in dict.fromkeys(texts) if _key(text) not in known]
        tokens = int(encoder.tokens(missing).sum()) if missing else 0
        probe = missing[:: max(1, len(missing) // _PROBE_TEXTS)]
        if not probe:
            return Estimate(0, 0, 0.0)
        encoder.encode(probe[:1], side)  # the first call of a model prepares it
        began = time.perf_counter()
        encoder.encode(probe, side)
        per_token = (time.perf_counter() - began) / int(encoder.tokens(probe).sum())
        return Estimate(len(missing), tokens, tokens * per_token)

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
        keys = [_key(text) for text in texts]
        folder = self._of(encoder, side)
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
        parts = [missing[at : at + _SHARD_TEXTS] for at in range(0, len(missing), _SHARD_TEXTS)]
        shards = [
            _Shard(folder, encoder.fingerprint, [texts[row] for row in part], side)
            for part in parts
        ]
        if self._on == "ray" and shards and encoder.again is not None:
            made = self._made_on_ray(shards, encoder.again)
        elif self._workers > 1 and len(shards) > 1 and encoder.again is not None:
            made = run_parts(shards, encoder.again, _make, self._workers)
        else:
            made = (
                (at, _make(encoder, shard, _shifted(progress, lambda: done, total)))
                for at, shard in enumerate(shards)
            )
        for at, path in made:
            vectors = dict(_read(path, encoder.dimension))
            for row in parts[at]:
                result[rows[keys[row]]] = vectors[keys[row]]
                done += int(tokens[rows[keys[row]]].sum())
            if progress is not None:
                progress(done, total)
        if not missing and progress is not None:
            progress(total, total)
        if folder.exists():
            (folder / USED).touch()
        return result

    def _made_on_ray(
        self, shards: Sequence[_Shard], again: Callable[[], Encoder]
    ) -> Iterator[tuple[int, Path]]:
        """Shards as they are finished, each stored before it is told of."""
        pool = RayPool()
        try:
            for at, vectors in pool.run(shards, again, _encoded, self._workers):
                yield at, _stored(shards[at], vectors)
        finally:
            pool.close()

    def known(self, encoder: Encoder, side: Side = "document") -> KnownVectors:
        """What is cached of one encoder and side, for who asks for a corpus part by part."""
        return KnownVectors(self._of(encoder, side), encoder.dimension)

    def _of(self, encoder: Encoder, side: Side) -> Path:
        prompt = encoder.prompt(side)
        of = (encoder.fingerprint, encoder.arithmetic, side, prompt)
        return self._folder / identity.digest("vectors", *of)


class KnownVectors:
    """Vectors of one folder of the cache. Files are read once for their keys, then as needed.

    Not thread-safe; what other processes add meanwhile is not seen.
    """

    def __init__(self, folder: Path, dimension: int) -> None:
        self._folder, self._dimension = folder, dimension
        self._places: dict[bytes, tuple[Path, int]] = {}
        for path in sorted(folder.glob("*.shard")):
            for row, (key, _) in enumerate(_read(path, dimension)):
                self._places[key] = (path, row)

    def find(self, content_hashes: Sequence[str]) -> dict[str, Vectors]:
        """Vectors of those texts that are known, by content hash; shape (dimension,)."""
        wanted = {each: self._places.get(bytes.fromhex(each)) for each in content_hashes}
        rows: dict[Path, list[tuple[str, int]]] = {}
        for each, place in wanted.items():
            if place is not None:
                rows.setdefault(place[0], []).append((each, place[1]))
        found: dict[str, Vectors] = {}
        for path, of_path in rows.items():
            records = np.memmap(path, np.uint8, "r").reshape(-1, _KEY_BYTES + 4 * self._dimension)
            for each, row in of_path:
                found[each] = records[row, _KEY_BYTES:].copy().view("<f4")
        return found

    def add(self, content_hashes: Sequence[str], vectors: Vectors) -> None:
        """Store vectors of texts, durably, as one file; of none, nothing."""
        if not len(content_hashes):
            return
        keys = [bytes.fromhex(each) for each in content_hashes]
        path = _write(self._folder, keys, vectors)
        self._places |= {key: (path, row) for row, key in enumerate(keys)}
        (self._folder / USED).touch()


@dataclass(frozen=True, slots=True)
class _Shard:
    """Texts that are embedded together."""

    folder: Path
    fingerprint: str
    texts: Sequence[str]
    side: Side


def _make(encoder: Encoder, shard: _Shard, progress: Progress | None = None) -> Path:
    """Embed a shard and store it; its file."""
    return _stored(shard, _encoded(encoder, shard, progress))


def _encoded(encoder: Encoder, shard: _Shard, progress: Progress | None = None) -> Vectors:
    if encoder.fingerprint != shard.fingerprint:
        raise ValueError("what was loaded again is another encoder: it was trained meanwhile")
    return encoder.encode(shard.texts, shard.side, progress=progress)


def _stored(shard: _Shard, vectors: Vectors) -> Path:
    return _write(shard.folder, [_key(text) for text in shard.texts], vectors)


def _key(text: str) -> bytes:
    return bytes.fromhex(identity.content_hash(text))


def _shifted(progress: Progress | None, before: Callable[[], int], total: int) -> Progress | None:
    """Progress of a part as progress of the whole."""
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(before() + done, total)


def _keys(path: Path, encoder: Encoder) -> list[bytes]:
    return [key for key, _ in _read(path, encoder.dimension)]


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


def _write(folder: Path, keys: Sequence[bytes], vectors: Vectors) -> Path:
    table = np.empty((len(keys), _KEY_BYTES + 4 * vectors.shape[1]), np.uint8)
    table[:, :_KEY_BYTES] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY_BYTES)
    table[:, _KEY_BYTES:] = np.ascontiguousarray(vectors, "<f4").view(np.uint8)
    raw = table.tobytes()
    path = folder / f"{blake2b(raw, digest_size=16).hexdigest()}.shard"
    files.replace_file(path, raw)
    return path
