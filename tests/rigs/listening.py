"""The server on a real socket, with real models whose every text is heard."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import torch
import uvicorn

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import Progress, Side, TextEncoder, Vectors, load_encoder
from ragwheel.models.packaged import packaged_model
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ServingSettings
from ragwheel.serving.app import create_app
from ragwheel.serving.contracts import Follower

#: Nothing takes so long, on however slow a machine.
LONG_S = 120.0


class HeardEncoder(TextEncoder):
    """A real model in full precision; as which side each text came is kept.

    Attributes:
        free: while it is cleared, a batch under way stays so.
        begun: set when a batch begins.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__(encoder.model, exact=True)
        self.heard: list[tuple[str, Side]] = []
        self.free, self.begun = Event(), Event()
        self.free.set()

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        self.heard += [(text, side) for text in texts]
        self.begun.set()
        assert self.free.wait(LONG_S)
        return super().encode(texts, side, progress)

    def roles_of(self, text: str) -> list[Side]:
        """The role of each time that `text` came."""
        return [side for heard, side in self.heard if heard == text]


def base_encoder() -> TextEncoder:
    """The base model that comes as a package."""
    folder = packaged_model()
    assert folder is not None
    return load_encoder(folder, 128)


def trained_encoder(seed: int) -> TextEncoder:
    """The base model as if it were trained: the same text gets quite another vector."""
    encoder = base_encoder()
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in encoder.model.parameters():
            weights.add_(torch.randn(weights.shape, generator=drawn) * 0.02)
    return encoder


@contextmanager
def listening(follower: Follower, telemetry: Telemetry, **settings: Any) -> Iterator[str]:
    """The server of what `follower` says in a thread of this process; yields its address."""
    app = create_app(load(ServingSettings, **settings), follower, telemetry)
    server = uvicorn.Server(
        uvicorn.Config(app, lifespan="on", log_config=None, access_log=False, ws="none")
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(LONG_S)
    assert not thread.is_alive()


def until(holds: Any) -> None:
    """Wait for `holds()`."""
    ends = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.01)
