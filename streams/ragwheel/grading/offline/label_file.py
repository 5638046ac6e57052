"""Labels in a file: what was paid before, and where each new label is written as it comes.

A kill leaves whole lines and perhaps one torn at the end, which the next run takes away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
from pydantic import ValidationError

from ragwheel.backends.files import replace_file
from ragwheel.grading.offline.job_lines import FileJob
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.events import GradeValue, Label


class LabelFile:
    """`LabelStore` and `DecoyStore` of one file of labels and the texts of the jobs.

    Use as a context manager: labels are appended while it is open, and put in order at its end.
    """

    def __init__(self, path: Path, jobs: Iterable[FileJob]) -> None:
        """Reads what is in the file; a file that is not there is empty.

        Raises:
            ConfigError: it holds something else than labels, or cannot be read.
        """
        self.path = path
        self.labels = _read(path)
        self._texts: dict[str, dict[str, str]] = {}
        for each in jobs:
            texts = self._texts.setdefault(each.job.index, {})
            texts.update({c.chunk_hash: c.text for c in each.job.candidates if c.text is not None})
        self._graded_chunks: dict[str, set[str]] = {}
        for label in self.labels.values():
            if label.role != "decoy":
                self._graded_chunks.setdefault(label.query_hash, set()).add(label.chunk_hash)

    def __enter__(self) -> Self:
        try:
            self._write_all()
            self._file = self.path.open("ab")
        except OSError as error:
            raise ConfigError(f"--to {self.path} cannot be written: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._file.close()
        self._write_all()

    def add(self, labels: Iterable[Label]) -> list[Label]:
        """Append those that say more than the file does; returns them."""
        fresh = [label for label in labels if not self._is_graded(label.label_id)]
        for label in fresh:
            self.labels[label.label_id] = label
            self._file.write(label.model_dump_json().encode() + b"\n")
        self._file.flush()
        return fresh

    async def graded(self, query_hash: str, label_ids: Collection[str]) -> Mapping[str, GradeValue]:
        """Grades of those labels that the file has."""
        found = {each: self.labels[each].grade for each in label_ids if each in self.labels}
        return {label_id: grade for label_id, grade in found.items() if grade is not None}

    async def texts(self, chunk_hashes: Collection[str]) -> Mapping[str, str]:
        """None: jobs of a file carry their texts."""
        return {}

    async def sample(self, index: str) -> Mapping[str, str]:
        """All chunks of an index that the jobs name."""
        return self._texts.get(index, {})

    async def graded_chunks(self, query_hash: str) -> Collection[str] | None:
        """Chunks that the file had labels of for this query when it was opened."""
        return self._graded_chunks.get(query_hash, set())

    def _is_graded(self, label_id: str) -> bool:
        known = self.labels.get(label_id)
        return known is not None and known.status == "graded"

    def _write_all(self) -> None:
        lines = (label.model_dump_json().encode() + b"\n" for label in self.labels.values())
        replace_file(self.path, b"".join(lines))


def qrels(jobs: Iterable[FileJob], labels: Iterable[Label]) -> str:
    """TREC qrels (query 0 chunk grade) of the pairs of `jobs` that are graded; decoys are none."""
    grades = {
        (label.query_hash, label.segment, label.chunk_hash): label.grade
        for label in labels
        if label.status == "graded" and label.role == "label"
    }
    rows = {}
    for each in jobs:
        for chunk_id, chunk_hash in each.chunk_ids.items():
            grade = grades.get((each.job.query_hash, each.job.segment, chunk_hash))
            if grade is not None:
                rows[each.job.query_id, chunk_id] = grade
    return "".join(f"{query} 0 {chunk} {grade}\n" for (query, chunk), grade in rows.items())


def _read(path: Path) -> dict[str, Label]:
    if not path.exists():
        return {}
    labels: dict[str, Label] = {}
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--to {path} cannot be read: {error.strerror}") from None
    whole = content[: content.rfind(b"\n") + 1]  # the rest was torn by a kill
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            label = Label.model_validate(orjson.loads(line))
        except (orjson.JSONDecodeError, ValidationError):
            raise ConfigError(
                f"--to {path}: line {number} is no label; name another file, or remove the line"
            ) from None
        labels[label.label_id] = label
    return labels
