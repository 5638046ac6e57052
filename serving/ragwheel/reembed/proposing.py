"""From what somebody asks for to a planned re-embedding, or why it would be wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ragwheel.models.encoder import Encoder, Side, estimated_tokens
from ragwheel.models.vectors import VectorCache
from ragwheel.reembed.indexes.contracts import Index, physical_name
from ragwheel.reembed.planning import SAMPLE_TEXTS, SEED, Probe, ProbeClock, price, probe
from ragwheel.reembed.states import Reembed, ReembedRefusedError, free_version, reembed_id
from ragwheel.reembed.store import ReembedStore
from ragwheel.reembed.target_model import TargetModel
from ragwheel.schemas.events import IndexEvent

#: Of a fingerprint, in the name of a build.
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody asks for.

    Attributes:
        target: name or folder of a model, or id of a registered one.
        index: None: the only one that is declared.
        version: of the new build; empty: made of the fingerprint.
        query_prompt, document_prompt: of the target; None: what its configuration says.
        max_seq_length: of the target.
        machines: like this one, that are going to embed side by side.
        usd_per_hour: of one of them.
    """

    target: str
    index: str | None = None
    version: str = ""
    query_prompt: str | None = None
    document_prompt: str | None = None
    max_seq_length: int = 128
    machines: int = 1
    usd_per_hour: float = 0.0

    @property
    def prompts(self) -> dict[Side, str]:
        """What is put before a text, where it was said."""
        said: dict[Side, str | None] = {
            "query": self.query_prompt, "document": self.document_prompt,
        }  # fmt: skip
        return {side: prompt for side, prompt in said.items() if prompt is not None}


@dataclass(frozen=True, slots=True)
class Proposed:
    """A planned re-embedding, and what was measured for it.

    Attributes:
        texts: different ones in the corpus.
        cached: share of the sample whose vectors are cached.
        old_stored: chunks in the build that is searched; None: there is none.
    """

    reembed: Reembed
    texts: int
    cached: float
    probe: Probe
    old_stored: int | None


def propose(
    store: ReembedStore, index: Index, cache: VectorCache, target: TargetModel, asked: Proposal,
    by: str, at: datetime, clock: ProbeClock = time.perf_counter,
) -> Proposed:  # fmt: skip
    """Measure a sample, and note the plan; the same plan again replaces its figures.

    Args:
        target: what `asked` names.
        clock: that times the sample.

    Raises:
        ReembedRefusedError: the index declares nothing, holds these vectors already, or is being
            re-embedded otherwise.
        ConfigError: the target cannot be loaded.
    """
    said = declared_index(store.declared(), asked.index)
    length, encoder = asked.max_seq_length, target.document()
    searched = index.serving()
    if searched and encoder.fingerprint == said.document_fingerprint:
        raise ReembedRefusedError(
            f"index {said.index!r} holds the vectors of {asked.target} already "
            f"({encoder.fingerprint}): a model of the query lane needs no re-embedding"
        )
    before = _open_one(store.reembeds(), said.index, encoder.fingerprint)
    version = before.version if before else free_version(
        asked.version or f"reembed_{encoder.fingerprint[:_SHORT]}", store.versions(said.index)
    )  # fmt: skip
    size = store.size(said.index, said.index_version, length)
    sample = store.sample(said.index, said.index_version, SAMPLE_TEXTS, SEED)
    found, cached, per_estimated = _measured(encoder, cache, sample, length, clock)
    tokens = round(size.tokens * per_estimated * (1 - cached))
    planned = Reembed(
        reembed_id(said.index, version, encoder.fingerprint), before.step if before else -1,
        "planned", at, by, "", said.index, said.index_version, said.document_fingerprint, searched,
        version, physical_name(said.index or "index", version), index.display, asked.target,
        encoder.fingerprint, encoder.dimension, encoder.prompt("document"),
        target.query().prompt("query"), length, chunks=size.chunks, tokens=tokens,
        hours=price(found, tokens, asked.machines, 0.0).hours, uncertainty=found.uncertainty,
        usd_per_hour=asked.usd_per_hour, machines=asked.machines,
    ).moved("planned", at, by)  # fmt: skip
    store.save(planned)
    old = planned.old_build and index.verify(planned.old_build, None)
    return Proposed(planned, size.texts, cached, found, old.count if old else None)


def declared_index(said: Sequence[IndexEvent], wanted: str | None) -> IndexEvent:
    """The newest complete declaration of the index that is meant.

    Raises:
        ReembedRefusedError: there is none, or none that says whose vectors it holds.
    """
    found = [each for each in said if wanted in (None, each.index)]
    names = ", ".join(repr(each.index) for each in said) or "none"
    if not found:
        raise ReembedRefusedError(
            f"index {wanted!r} was never declared complete (declared: {names}): what it holds is "
            "told by chunk events and an index event (docs/instrumentation.md)"
        )
    if len(found) > 1:
        raise ReembedRefusedError(f"several indexes are declared: say --index, one of {names}")
    if not found[0].document_fingerprint:
        raise ReembedRefusedError(
            f"build {found[0].index_version!r} of index {found[0].index!r} does not say whose "
            "vectors it holds: declare it again with `document_fingerprint`"
        )
    return found[0]


def _open_one(known: Sequence[Reembed], index: str, fingerprint: str) -> Reembed | None:
    """The same plan of before; None: the index is free.

    Raises:
        ReembedRefusedError: it is being re-embedded otherwise, or further than planned.
    """
    for each in known:
        if each.index != index or each.ended:
            continue
        if each.state == "planned" and each.document_fingerprint == fingerprint:
            return each
        raise ReembedRefusedError(
            f"index {index!r} has re-embedding {each.reembed_id} to {each.target}, which is "
            f"{each.state}: retire it, or roll it back and abort it, before another is planned"
        )
    return None


def _measured(
    encoder: Encoder,
    cache: VectorCache,
    sample: Sequence[tuple[str, str]],
    length: int,
    clock: ProbeClock,
) -> tuple[Probe, float, float]:
    """What the sample took, which share of it is cached, and tokens per estimated token."""
    known = cache.known(encoder).find([hashed for hashed, _ in sample])
    missing = [text for hashed, text in sample if hashed not in known]
    cached = len(known) / len(sample) if sample else 0.0
    if not missing:
        return Probe(0, 0.0, 0.0, 0.0), cached, 1.0
    found = probe(encoder, missing, clock)
    estimated = int(estimated_tokens(missing, length).sum())
    return found, cached, int(encoder.tokens(missing).sum()) / estimated
