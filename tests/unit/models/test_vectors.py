"""The vector cache: never a stale vector, never the same work twice, never stopped by damage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from ragwheel.backends.files import STAGED
from ragwheel.models.encoder import Encoder, Progress, Side, Tokens, Vectors
from ragwheel.models.vectors import VectorCache


class HashEncoder:
    """Vectors from hashes; counts what it is asked to embed."""

    def __init__(
        self, fingerprint: str = "model-1", dimension: int = 8, document_prompt: str = ""
    ) -> None:
        self.fingerprint = fingerprint
        self.arithmetic = "fp32"
        self.prompts: dict[Side, str] = {"query": "", "document": document_prompt}
        self.dimension = dimension
        self.embedded: list[str] = []
        self.again: Callable[[], Encoder] | None = None

    def tokens(self, texts: Sequence[str]) -> Tokens:
        return np.ones(len(texts), np.int64)

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        self.embedded += texts
        return np.stack([self.vector(text, self.prompt(side)) for text in texts])

    def prompt(self, side: Side) -> str:
        return self.prompts[side]

    def vector(self, text: str, prompt: str = "") -> Vectors:
        seed = blake2b(f"{self.fingerprint}|{prompt}|{text}".encode(), digest_size=8).digest()
        vector = np.random.default_rng(int.from_bytes(seed)).standard_normal(self.dimension)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


TEXTS = [f"text number {number} " + "x" * (number % 7) for number in range(50)]


@pytest.fixture
def cache(tmp_path: Path) -> VectorCache:
    return VectorCache(tmp_path / "vectors")


def expected(encoder: HashEncoder, texts: Sequence[str], prompt: str = "") -> Vectors:
    return np.stack([encoder.vector(text, prompt) for text in texts])


def test_vectors_come_in_the_order_of_the_texts(cache: VectorCache) -> None:
    encoder = HashEncoder()
    np.testing.assert_array_equal(cache.embed(encoder, TEXTS), expected(encoder, TEXTS))
    backwards = list(reversed(TEXTS))
    np.testing.assert_array_equal(cache.embed(encoder, backwards), expected(encoder, backwards))


def test_nothing_is_embedded_twice(cache: VectorCache, tmp_path: Path) -> None:
    encoder = HashEncoder()
    cache.embed(encoder, TEXTS[:30])
    cache.embed(encoder, [*TEXTS, *TEXTS])
    VectorCache(tmp_path / "vectors").embed(encoder, TEXTS)
    assert sorted(encoder.embedded) == sorted(TEXTS)


def test_vectors_of_one_arithmetic_are_never_handed_out_for_another(cache: VectorCache) -> None:
    exact, quick = HashEncoder(), HashEncoder()
    quick.arithmetic = "bf16"
    for encoder in (exact, quick, exact, quick):
        cache.embed(encoder, TEXTS)
    assert sorted(exact.embedded) == sorted(quick.embedded) == sorted(TEXTS)


def test_a_text_is_found_on_its_side_only(cache: VectorCache) -> None:
    encoder = HashEncoder()
    cache.embed(encoder, ["a query"], side="query")
    cache.embed(encoder, ["a query"], side="document")
    cache.embed(encoder, ["a query"], side="query")
    assert encoder.embedded == ["a query"] * 2


def test_a_changed_text_is_another_text(cache: VectorCache) -> None:
    encoder = HashEncoder()
    cache.embed(encoder, ["same text"])
    changed = cache.embed(encoder, ["same text "])
    np.testing.assert_array_equal(changed[0], encoder.vector("same text "))


@pytest.mark.parametrize(
    ("model", "prompt"), [("model-2", ""), ("model-1", "query: ")], ids=["model", "prompt"]
)
def test_another_model_or_prompt_never_sees_old_vectors(
    cache: VectorCache, model: str, prompt: str
) -> None:
    cache.embed(HashEncoder(), TEXTS)
    other = HashEncoder(model, document_prompt=prompt)
    found = cache.embed(other, TEXTS)
    np.testing.assert_array_equal(found, expected(other, TEXTS, prompt))


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_shard_is_set_aside_and_embedded_again(
    cache: VectorCache, tmp_path: Path, damage: str
) -> None:
    encoder = HashEncoder()
    cache.embed(encoder, TEXTS)
    [shard] = tmp_path.rglob("*.shard")
    raw = bytearray(shard.read_bytes())
    raw[100] ^= 1
    shard.write_bytes({"flip": bytes(raw), "truncate": bytes(raw[:-5]), "empty": b""}[damage])
    np.testing.assert_array_equal(cache.embed(encoder, TEXTS), expected(encoder, TEXTS))
    assert len(encoder.embedded) == 2 * len(TEXTS)
    assert len(list(tmp_path.rglob("*.damaged"))) == 1
    cache.embed(encoder, TEXTS)
    assert len(encoder.embedded) == 2 * len(TEXTS)


def test_what_was_embedded_before_an_interruption_is_kept(
    cache: VectorCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragwheel.models.vectors._SHARD_TEXTS", 10)
    encoder = HashEncoder()

    def stop_half_way(done: int, total: int) -> None:
        if done >= total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.embed(encoder, TEXTS, progress=stop_half_way)
    assert len(encoder.embedded) == 30
    cache.embed(encoder, TEXTS)
    assert sorted(encoder.embedded) == sorted(TEXTS)


def test_progress_counts_cached_texts_and_ends_at_the_total(cache: VectorCache) -> None:
    seen: list[tuple[int, int]] = []
    encoder = HashEncoder()
    cache.embed(encoder, TEXTS[:20])
    cache.embed(encoder, [*TEXTS, TEXTS[0]], progress=lambda *at: seen.append(at))
    assert seen[-1] == (51, 51)
    assert seen[0][0] > 21
    seen.clear()
    cache.embed(encoder, TEXTS, progress=lambda *at: seen.append(at))
    assert seen == [(50, 50)]


def fill(folder: Path, start: int) -> None:
    VectorCache(folder).embed(HashEncoder(), [f"shared {n}" for n in range(start, start + 300)])


FILL_ELSEWHERE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.models.test_vectors import fill
fill(Path(sys.argv[2]), int(sys.argv[3]))
"""


def test_two_processes_may_fill_one_cache(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[2])
    workers = [
        subprocess.Popen([sys.executable, "-c", FILL_ELSEWHERE, tests, str(tmp_path), start])
        for start in ("0", "150")
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    encoder = HashEncoder()
    texts = [f"shared {n}" for n in range(450)]
    found = VectorCache(tmp_path).embed(encoder, texts)
    np.testing.assert_array_equal(found, expected(encoder, texts))
    assert encoder.embedded == []
    assert not list(tmp_path.rglob(f"{STAGED}*"))


def test_no_texts_are_no_vectors(cache: VectorCache) -> None:
    assert cache.embed(HashEncoder(), []).shape == (0, 8)
