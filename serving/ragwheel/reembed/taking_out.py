"""Forgotten chunks leave the builds that re-embeddings made and still answer for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing

import numpy as np

from ragwheel.reembed.indexes.contracts import Points, SpaceVectors
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.reembed.states import Reembed
from ragwheel.reembed.store import ReembedStore
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.secrets import StoreUrl


def take_out(
    store: ReembedStore, url: StoreUrl, hashes: Iterable[str], ids: Iterable[str], *, dry_run: bool
) -> int:
    """Remove chunks from the builds of every re-embedding that is under way, and count them.

    To be called before their shards lose them: afterwards nobody knows their ids.

    Args:
        url: of the vector store; needed only if one of its builds holds one.
        hashes, ids: the texts that are forgotten, and the ids under which others stood.

    Raises:
        ConfigError: a build holds one, and `url` does not lead to its store.
        UnavailableError: the store does not answer.
    """
    wanted, named = sorted(set(hashes)), sorted(set(ids))
    taken = 0
    for reembed in store.reembeds():
        held = [] if reembed.ended else store.held(reembed, wanted, named)
        if held:
            taken += len(held)
            if not dry_run:
                _remove(reembed, url, held)
    return taken


def _remove(reembed: Reembed, url: StoreUrl, gone: Sequence[str]) -> None:
    if str(url) != reembed.store:
        raise ConfigError(
            f"RAGWHEEL_VECTOR_STORE is {str(url) if url.scheme else 'not set'}, and re-embedding "
            f"{reembed.reembed_id} holds what is to be forgotten in {reembed.store}: set it to "
            "that, or abort the re-embedding; nothing was erased yet"
        )
    nothing = SpaceVectors(
        reembed.document_fingerprint, np.zeros((0, reembed.dimension), np.float32)
    )
    with closing(open_index(url)) as index:
        index.create(reembed.build)
        index.upsert(reembed.build, Points([], [], nothing), gone)
