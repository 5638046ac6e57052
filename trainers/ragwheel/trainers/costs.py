"""What a model costs to serve, measured where it was trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ragwheel.models.encoder import Encoder
from ragwheel.trainers.data.records import SampledQuery
from ragwheel.trainers.proof.gate import Costs

#: Queries that are timed, each alone as a search sends it, after one that warms the model up.
_TIMED = 30


def costs_of(encoder: Encoder, folder: Path, queries: Sequence[SampledQuery]) -> Costs:
    """The median time that one query takes, and the size of the model's files.

    Args:
        queries: real ones; the first 30 are timed.

    Raises:
        VectorError: one of them cannot be embedded.
    """
    taken = []
    for each in [*queries[:1], *queries[:_TIMED]]:
        began = time.perf_counter()
        encoder.encode([each.query], "query")
        taken.append(time.perf_counter() - began)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    latency_ms = round(median(taken[1:]) * 1e3, 2) if taken else None
    return Costs(latency_ms, round(size / 1e6, 1))
