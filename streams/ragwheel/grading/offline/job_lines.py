"""Lines of JSON become grading jobs. Pure.

A line is an event (a retrieval is graded, a chunk gives its text to retrievals that name its hash,
others are passed over) or plain: `{"query": "…", "chunks": ["text", {"id": "7", "text": "…"}]}`,
with `id` of the query, `segment` and `index` if they matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragwheel.schemas import identity, limits
from ragwheel.schemas.events import (
    ChunkEvent,
    GradingJob,
    Id,
    JobCandidate,
    Name,
    RetrievalEvent,
    Text,
)

_FORM = (
    'write {"query": "…", "chunks": ["text", …]}, or an event as docs/events.md has it '
    '("event": "retrieval")'
)
_PASSED_OVER = ("query", "feedback", "index")


@dataclass(frozen=True, slots=True)
class FileJob:
    """A job and the names of its chunks.

    Attributes:
        line: where it stands, from 1.
        chunk_ids: id in the file → chunk hash.
    """

    line: int
    job: GradingJob
    chunk_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LineMistake:
    """A line that cannot be graded, and what to write instead."""

    line: int
    told: str


class _PlainChunk(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Id | None = None
    text: Text


class _PlainLine(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Id | None = None
    query: Text
    chunks: Annotated[
        list[Text | _PlainChunk], Field(min_length=1, max_length=limits.MAX_CANDIDATES)
    ]
    segment: Name = "default"
    index: Name = ""


def read_jobs(lines: Iterable[bytes], now: datetime) -> tuple[list[FileJob], list[LineMistake]]:
    """The jobs of a file, in its order, and all its mistakes.

    Args:
        now: time of the plain lines, which carry none.
    """
    jobs: list[FileJob] = []
    mistakes: list[LineMistake] = []
    texts: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            raw = orjson.loads(line)
            if not isinstance(raw, dict):
                raise ValueError(f"it is no object; {_FORM}")
            jobs.extend(_read(number, raw, texts, now))
        except ValidationError as error:
            mistakes.append(LineMistake(number, _explain(error)))
        except orjson.JSONDecodeError as error:
            mistakes.append(LineMistake(number, f"it is not JSON ({error}); {_FORM}"))
        except ValueError as error:
            mistakes.append(LineMistake(number, str(error)))
    filled = [_with_texts(each, texts) for each in jobs]
    mistakes += [_no_text(each) for each in filled if _lacks_text(each)]
    return filled, sorted(mistakes, key=lambda each: each.line)


def _read(
    number: int, raw: dict[str, Any], texts: dict[str, str], now: datetime
) -> Iterator[FileJob]:
    event = raw.get("event")
    if event == "retrieval":
        retrieval = RetrievalEvent.model_validate(raw)
        if retrieval.candidates:
            yield _of_retrieval(number, retrieval)
    elif event == "chunk":
        chunk = ChunkEvent.model_validate(raw)
        if chunk.text is not None:
            texts[chunk.content_hash] = chunk.text
    elif event is None:
        yield _of_plain(number, _PlainLine.model_validate(raw), now)
    elif event not in _PASSED_OVER:
        raise ValueError(f"`event` is {event!r}, which nothing is graded of; {_FORM}")


def _of_retrieval(number: int, retrieval: RetrievalEvent) -> FileJob:
    ranked = sorted(retrieval.candidates, key=lambda each: each.rank)
    candidates = {
        each.content_hash: JobCandidate(chunk_hash=each.content_hash, text=each.text)
        for each in sorted(ranked, key=lambda each: each.text is not None)
    }
    job = GradingJob(
        job_id=identity.job_id(retrieval.event_id, "label"),
        query_id=retrieval.query_id,
        query=retrieval.query,
        query_hash=identity.query_hash(retrieval.query),
        segment=retrieval.segment,
        index=retrieval.index,
        ts=retrieval.ts,
        stratum=retrieval.segment,
        inclusion_probability=1.0,
        candidates=tuple(
            candidates[each] for each in dict.fromkeys(r.content_hash for r in ranked)
        ),
    )
    return FileJob(number, job, {each.chunk_id: each.content_hash for each in ranked})


def _of_plain(number: int, line: _PlainLine, now: datetime) -> FileJob:
    ids: dict[str, str] = {}
    texts: dict[str, str] = {}
    for chunk in line.chunks:
        text, given = (chunk, None) if isinstance(chunk, str) else (chunk.text, chunk.id)
        chunk_hash = identity.content_hash(text)
        texts[chunk_hash] = text
        if ids.setdefault(given or chunk_hash, chunk_hash) != chunk_hash:
            raise ValueError(f"two chunks have the id {given!r} and different texts; name one anew")
    query_hash = identity.query_hash(line.query)
    job = GradingJob(
        job_id=identity.digest("filejob", query_hash, line.segment, line.index, *texts),
        query_id=line.id or query_hash,
        query=line.query,
        query_hash=query_hash,
        segment=line.segment,
        index=line.index,
        ts=now,
        stratum=line.segment,
        inclusion_probability=1.0,
        candidates=tuple(JobCandidate(chunk_hash=key, text=text) for key, text in texts.items()),
    )
    return FileJob(number, job, ids)


def _with_texts(found: FileJob, texts: Mapping[str, str]) -> FileJob:
    candidates = tuple(
        each.model_copy(update={"text": each.text or texts.get(each.chunk_hash)})
        for each in found.job.candidates
    )
    job = found.job.model_copy(update={"candidates": candidates})
    return FileJob(found.line, job, found.chunk_ids)


def _lacks_text(found: FileJob) -> bool:
    return any(each.text is None for each in found.job.candidates)


def _no_text(found: FileJob) -> LineMistake:
    lacking = [each.chunk_hash for each in found.job.candidates if each.text is None]
    return LineMistake(
        found.line,
        f"{len(lacking)} candidates have no text ({lacking[0]}, …); write `text` into them, or "
        "put their chunk events into the file",
    )


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(each) for each in first["loc"] if each != "constrained-str")
    shown = repr(first["input"])[:60]
    return f"{where or 'the line'}: {first['msg']} (it is {shown}); {_FORM}"
