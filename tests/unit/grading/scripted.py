"""A scripted model for unit tests: answers prompts without a network."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

from ragwheel.grading.asking.prompt import Prompt
from ragwheel.grading.endpoint.calls import CallOutcome, Completion
from ragwheel.grading.endpoint.retry import GiveUp
from ragwheel.grading.endpoint.timing import Clock
from ragwheel.schemas import identity
from ragwheel.schemas.events import GradeValue, GradingJob, JobCandidate

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Reaction = Callable[[Prompt], Completion | GiveUp]


def complete(text: str) -> Completion:
    return Completion("complete", text, input_tokens=100, output_tokens=20, latency_s=0.5)


def entries(prompt: Prompt, ids: Iterable[str] | None = None) -> list[dict[str, object]]:
    """What the scripted model finds right: the grade is the hash's last digit, 0-3."""
    return [
        {"id": opaque, "grade": true_grade(chunk_hash)}
        for opaque, chunk_hash in prompt.chunk_of_id.items()
        if ids is None or opaque in ids
    ]


def true_grade(chunk_hash: str) -> int:
    return int(chunk_hash[-1], 16) % 4


def right(prompt: Prompt) -> Completion:
    return complete(json.dumps({"grades": entries(prompt)}))


def missing_first(prompt: Prompt) -> Completion:
    return complete(json.dumps({"grades": entries(prompt)[1:]}))


def doubled_first(prompt: Prompt) -> Completion:
    listed = entries(prompt)
    return complete(json.dumps({"grades": [*listed, listed[0]]}))


def prose(prompt: Prompt) -> Completion:
    return complete("I think that 3 of them are good.")


def refused(prompt: Prompt) -> Completion:
    return Completion("refused", "", 100, 0, 0.5)


def truncated(prompt: Prompt) -> Completion:
    return Completion("truncated", json.dumps({"grades": entries(prompt)}), 100, 999, 0.5)


def gone(prompt: Prompt) -> GiveUp:
    return GiveUp("HTTP 500: a bug of theirs")


class ScriptedModel:
    """A `Completer`: the scripted reactions first, then `default`. Keeps all prompts."""

    model = "scripted"

    def __init__(self, *script: Reaction, default: Reaction = right) -> None:
        self.prompts: list[Prompt] = []
        self.form: dict[str, object] = {}
        self._script = deque(script)
        self._default = default
        self.gate = asyncio.Event()
        self.gate.set()

    async def complete(self, prompt: Prompt) -> CallOutcome:
        self.prompts.append(prompt)
        react = self._script.popleft() if self._script else self._default
        await self.gate.wait()
        return CallOutcome(react(prompt), tries=1)

    @property
    def sizes(self) -> list[int]:
        """Passages per call, in order."""
        return [len(prompt.chunk_of_id) for prompt in self.prompts]


class StillClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.elapsed_s += seconds
        await asyncio.sleep(0)

    def clock(self, dice: float = 0.5) -> Clock:
        return Clock(lambda: self.elapsed_s, lambda: NOW, self.sleep, lambda: dice)


class MemoryStore:
    """A `LabelStore` of two dictionaries."""

    def __init__(
        self, grades: Mapping[str, GradeValue] | None = None, texts: Mapping[str, str] | None = None
    ) -> None:
        """Holds what it is given; mutable by its owner."""
        self.grades: dict[str, GradeValue] = dict(grades or {})
        self.chunks: dict[str, str] = dict(texts or {})
        #: What decoys are drawn from, by index, and what was graded, by query.
        self.indexes: dict[str, dict[str, str]] = {}
        self.graded_of: dict[str, set[str]] | None = {}

    async def graded(self, query_hash: str, label_ids: Collection[str]) -> Mapping[str, GradeValue]:
        """Grades of those labels that are held."""
        return {each: self.grades[each] for each in label_ids if each in self.grades}

    async def texts(self, chunk_hashes: Collection[str]) -> Mapping[str, str]:
        """Texts of those chunks that are held."""
        return {each: self.chunks[each] for each in chunk_hashes if each in self.chunks}

    async def sample(self, index: str) -> Mapping[str, str]:
        """Chunks of an index."""
        return self.indexes.get(index, {})

    async def graded_chunks(self, query_hash: str) -> Collection[str] | None:
        """What was graded for this query."""
        return None if self.graded_of is None else self.graded_of.get(query_hash, set())


def text_of(number: int) -> str:
    return f"text of chunk {number}"


def job(
    query: str = "a query", chunks: Iterable[int] = range(20), *, with_text: bool = True
) -> GradingJob:
    texts = [text_of(number) for number in chunks]
    return GradingJob(
        job_id=identity.job_id(query, "label"),
        query_id="q-1",
        query=query,
        query_hash=identity.query_hash(query),
        ts=NOW,
        stratum="default",
        inclusion_probability=0.25,
        candidates=tuple(
            JobCandidate(chunk_hash=identity.content_hash(text), text=text if with_text else None)
            for text in texts
        ),
    )
