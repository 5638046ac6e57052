"""A world small enough to train in: a secret dictionary between words of questions and of chunks.

Every chunk is a few "code" words, every question some of them in the askers' language. The base
model knows the dictionary badly; whoever learns it from labels also understands questions that
were never labeled.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from ragwheel.measuring.nearest import rank
from ragwheel.models.encoder import Progress, load_encoder
from ragwheel.models.manifest import TrainConfig
from ragwheel.models.serving_seen import SeenModel
from ragwheel.schemas import identity
from ragwheel.schemas.events import GradingJob, Role
from ragwheel.schemas.tombstones import Tombstones
from ragwheel.trainers.data.records import (
    Corpus,
    GateLook,
    Grade,
    Judgment,
    LoggedRanking,
    SampledQuery,
)
from ragwheel.trainers.data.snapshot import Recipe
from ragwheel.trainers.proof.evaluation import Figure
from ragwheel.trainers.proof.judging import Judged

WORDS = 150
DIMENSION = 64
#: Spread of the base model's error about the askers' words; 1 would be the size of the signal.
MISUNDERSTANDING = 1.6
SHOWN = 10
#: Yesterday: tables forget jobs of a fixed date one day.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
LABELER, JUDGE = "labeler@1", "judge@1"
SEGMENTS = ("left", "right")


def save_base_model(folder: Path, seed: int = 0, misunderstanding: float = MISUNDERSTANDING) -> str:
    """Write a bag-of-words model that knows the chunks' words and misunderstands the askers'."""
    noise = np.random.default_rng(seed)
    code = noise.standard_normal((WORDS, DIMENSION))
    asked = code + misunderstanding * noise.standard_normal((WORDS, DIMENSION))
    unknown = np.full((1, DIMENSION), 1e-3)
    vocabulary = {"[UNK]": 0}
    vocabulary |= {f"code{word}": 1 + word for word in range(WORDS)}
    vocabulary |= {f"ask{word}": 1 + WORDS + word for word in range(WORDS)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.concatenate([unknown, code, asked]).astype(np.float32)
    module = StaticEmbedding(tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[module], device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    return str(folder)


def graded(
    query_hash: str, chunk_hash: str, grade: int, grader_id: str = LABELER, role: Role = "label"
) -> Grade:
    """A grade by an LLM."""
    return Grade(query_hash, chunk_hash, grade, role, grader_id, "r1", "llm", NOON)


@dataclass
class World:
    """Chunks, questions and who answers what; also a `WheelStore` of what was logged of it."""

    chunks: dict[str, str]
    questions: list[SampledQuery]
    answers: dict[str, str]
    pairs: list[Grade]
    judge_pairs: list[Grade] = field(default_factory=list)
    gates: list[GateLook] = field(default_factory=list)
    cited: list[tuple[str, str]] = field(default_factory=list)
    tombstones: Tombstones = field(default_factory=Tombstones)

    def count_answered(self) -> int:
        return len({pair.query_hash for pair in self.pairs if pair.grade >= 2})

    def sampled_queries(self) -> list[SampledQuery]:
        return self.questions

    def grades(self) -> list[Grade]:
        return [*self.pairs, *self.judge_pairs]

    def decoys(self) -> list[Grade]:
        return [each for each in self.grades() if each.role == "decoy"]

    def endorsed(self) -> list[tuple[str, str]]:
        return self.cited

    def logged_rankings(self) -> list[LoggedRanking]:
        return []

    def used_gate_queries(self) -> list[GateLook]:
        return self.gates

    def forgotten(self) -> Tombstones:
        return self.tombstones

    def corpus(self) -> Corpus:
        return Corpus(tuple(sorted(self.chunks)), tuple(map(self.chunks.get, sorted(self.chunks))))  # type: ignore[arg-type]

    def judgments(self, query_hashes: Sequence[str]) -> list[Judgment]:
        return []

    def last_figures(self) -> list[Figure]:
        return []

    def seen_models(self) -> list[SeenModel]:
        return []

    def truth(self, query_hash: str, chunk_hash: str) -> int:
        return 3 if self.answers[query_hash] == chunk_hash else 0


def make_world(base_model: str, *, questions: int = 900, chunks: int = 700, seed: int = 0) -> World:
    """A world whose labels come from what the base model retrieves, as in production."""
    rng = random.Random(seed)
    texts = [" ".join(f"code{w}" for w in rng.sample(range(WORDS), 5)) for _ in range(chunks)]
    by_hash = {identity.content_hash(text): text for text in texts}
    corpus_hashes = sorted(by_hash)
    asked: dict[str, tuple[str, str]] = {}
    while len(asked) < questions:
        answer = rng.choice(corpus_hashes)
        words = rng.sample(by_hash[answer].split(), 3)
        text = " ".join(word.replace("code", "ask") for word in words)
        asked.setdefault(identity.query_hash(text), (text, answer))
    encoder = load_encoder(base_model, 64)
    documents = encoder.encode([by_hash[each] for each in corpus_hashes], "document")
    query_hashes = sorted(asked)
    asked_texts = [asked[each][0] for each in query_hashes]
    shown = rank(encoder.encode(asked_texts, "query"), documents, SHOWN)
    sampled, pairs = [], []
    for index, query_hash in enumerate(query_hashes):
        text, answer = asked[query_hash]
        retrieved = [corpus_hashes[row] for row in shown[index]]
        sampled.append(
            SampledQuery(
                query_hash, text, f"q{index}", SEGMENTS[index % 2], NOON, "all", 1.0, 1,
                tuple(sorted(retrieved)), NOON,
            )
        )  # fmt: skip
        pairs += [graded(query_hash, chunk, 3 if chunk == answer else 0) for chunk in retrieved]
    answers = {query_hash: answer for query_hash, (_, answer) in asked.items()}
    return World(by_hash, sampled, answers, pairs)


@dataclass
class TruthfulJudge:
    """Knows the truth; remembers what it was asked."""

    world: World
    grader_id: str = JUDGE
    asked: list[GradingJob] = field(default_factory=list)

    def __call__(self, jobs: Sequence[GradingJob], progress: Progress) -> Judged:
        self.asked += jobs
        found = [
            Judgment(
                job.query_hash, each.chunk_hash, "graded",
                self.world.truth(job.query_hash, each.chunk_hash), self.grader_id,
            )
            for job in jobs
            for each in job.candidates
        ]  # fmt: skip
        progress(len(found), len(found))
        return Judged(self.grader_id, tuple(found))


def recipe(base_model: str = "base", fingerprint: str = "f") -> Recipe:
    """How a model of the world is made."""
    config = TrainConfig(epochs=6, learning_rate=0.1, batch_size=32, max_seq_length=64)
    return Recipe(base_model, fingerprint, config, 17, 0.3)
