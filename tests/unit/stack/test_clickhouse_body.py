"""Bodies of several compressed frames, cut anywhere."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

import lz4.frame  # type: ignore[import-untyped]  # ships no types
import pytest

from ragwheel.stack.clickhouse.body import PIECE_BYTES, BodyDecoder
from ragwheel.stack.clickhouse.engine import EngineError

try:
    from compression import zstd  # type: ignore[import-not-found]
except ImportError:
    from backports import zstd

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("cut", [1, 7, 1000, 10**9])
def test_frames_are_joined_wherever_the_body_is_cut(encoding: str, cut: int) -> None:
    source = random.Random(7)
    frames = [source.randbytes(500), b"", b"x" * 5_000, source.randbytes(30)]
    body = b"".join(ENCODERS[encoding](frame) for frame in frames)
    decoder = BodyDecoder(encoding.upper())
    out = b"".join(
        piece
        for start in range(0, len(body), cut)
        for piece in decoder.decode(body[start : start + cut])
    )
    decoder.finish()
    assert out == b"".join(frames)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "lz4", "zstd"])
def test_a_small_body_that_claims_much_is_decoded_in_bounded_pieces(encoding: str) -> None:
    body = ENCODERS[encoding](b"\0" * (5 * PIECE_BYTES))
    sizes = [len(piece) for piece in BodyDecoder(encoding).decode(body)]
    assert sum(sizes) == 5 * PIECE_BYTES
    assert max(sizes) <= PIECE_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "lz4", "zstd"])
def test_bytes_of_another_kind_are_refused(encoding: str) -> None:
    with pytest.raises(EngineError, match=f"Code: 271.*not valid {encoding}"):
        list(BodyDecoder(encoding).decode(b"INSERT INTO t FORMAT CSV\n" * 10))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "lz4", "zstd"])
def test_a_body_that_ends_within_a_frame_is_refused(encoding: str) -> None:
    decoder = BodyDecoder(encoding)
    list(decoder.decode(ENCODERS[encoding](b"x" * 100)[:-3]))
    with pytest.raises(EngineError, match=f"Code: 271.*in the middle of a {encoding} frame"):
        decoder.finish()


def test_an_unknown_encoding_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EngineError, match=r"Code: 89.*'br' is not supported; known: .*zstd"):
        BodyDecoder("br")
