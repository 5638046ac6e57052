"""What a run needs before it starts: corpus, questions, and the demo grader's right answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ragwheel.demo.corpus import CorpusChunk
from ragwheel.demo.options import Scale
from ragwheel.demo.search import IndexedChunk
from ragwheel.demo.searches import CorpusQuestion
from ragwheel.schemas.identity import content_hash
from ragwheel.stack.llm import gold_json


@dataclass(frozen=True, slots=True)
class Material:
    """The part of the standard library that this run works with.

    Attributes:
        chunks: the index, sorted by chunk id.
        index: what the search service keeps of each chunk, in their order.
        questions: what users may ask; the answer of each is among the chunks.
    """

    chunks: tuple[CorpusChunk, ...]
    index: tuple[IndexedChunk, ...]
    questions: tuple[CorpusQuestion, ...]


def choose(corpus: Sequence[CorpusChunk], scale: Scale, rng: random.Random) -> Material:
    """Draw questions with their chunks, and fill the index up with chunks that nobody asks for."""
    askable = [
        CorpusQuestion(chunk.question, chunk.segment, chunk.chunk_id)
        for chunk in corpus
        if chunk.question is not None
    ]
    questions = rng.sample(askable, min(scale.questions, len(askable)))
    asked = {question.chunk_id for question in questions}
    rest = [chunk.chunk_id for chunk in corpus if chunk.chunk_id not in asked]
    fill = rng.sample(rest, max(0, min(scale.chunks - len(asked), len(rest))))
    by_id = {chunk.chunk_id: chunk for chunk in corpus}
    chunks = tuple(by_id[chunk_id] for chunk_id in sorted((*asked, *fill)))
    index = tuple(IndexedChunk(chunk.chunk_id, content_hash(chunk.text)) for chunk in chunks)
    return Material(chunks, index, tuple(questions))


def write_gold(material: Material, path: Path) -> None:
    """Tell the demo grader which function each question came from, and what lies beside it."""
    text_of = {chunk.chunk_id: chunk.text for chunk in material.chunks}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        gold_json(
            {question.text: [text_of[question.chunk_id]] for question in material.questions},
            {chunk.text: group_of(chunk.chunk_id) for chunk in material.chunks},
        )
    )


def group_of(chunk_id: str) -> str:
    """What a chunk is part of: its class, or its module. Its neighbours are related, grade 1."""
    module, _, qualname = chunk_id.partition(":")
    return f"{module}:{qualname.rpartition('.')[0]}"
