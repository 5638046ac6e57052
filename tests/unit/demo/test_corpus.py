"""The demo's corpus: what becomes a chunk, what a question, and that nothing leaks an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragwheel.demo.corpus import (
    DEFAULT_SEGMENT,
    MAX_CHUNK_CHARS,
    CorpusChunk,
    families,
    load_corpus,
)

SOURCE = '''
"""Module docstring that belongs to no chunk."""
import os


def parse(text, strict=False):
    """Parse a text into a tree of nodes. More detail here.

    A second paragraph that is no question.
    """
    # a comment stays
    def inner():
        """An inner docstring that would leak."""
        return text
    return inner()


@decorated
class Tree:
    """Hold nodes in the order of insertion."""

    def walk(self):
        """Yield every node depth first, parents before children."""
        yield from self.nodes

    def __repr__(self):
        return "Tree"

    def close(self):
        """Close it."""
        self.closed = True

    def todo(self):
        """Do something that subclasses must define."""
        raise NotImplementedError


if os.name == "nt":
    def only_windows(path):
        return path
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").write_text(SOURCE, "utf-8")
    (tmp_path / "mystery.py").write_text("def lonely(a):\n    return a + 1\n", "utf-8")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test_json.py").write_text("def test_it():\n    return 1\n", "utf-8")
    (tmp_path / "broken.py").write_text("def oops(:\n", "utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def standard_chunks() -> tuple[CorpusChunk, ...]:
    return load_corpus()


def by_id(chunks: tuple[CorpusChunk, ...]) -> dict[str, CorpusChunk]:
    return {chunk.chunk_id: chunk for chunk in chunks}


def test_functions_classes_and_methods_become_chunks(library: Path) -> None:
    assert sorted(by_id(load_corpus(library))) == [
        "json:Tree",
        "json:Tree.close",
        "json:Tree.walk",
        "json:only_windows",
        "json:parse",
        "mystery:lonely",
    ]


def test_no_docstring_is_left_in_any_text(library: Path) -> None:
    chunks = by_id(load_corpus(library))
    assert "leak" not in chunks["json:parse"].text
    assert "# a comment stays" in chunks["json:parse"].text
    assert "depth first" not in chunks["json:Tree"].text
    assert chunks["json:Tree.walk"].text == "def walk(self):\n    yield from self.nodes"
    assert chunks["json:Tree"].text.startswith("@decorated\nclass Tree:\n    def walk(self):")


def test_the_question_is_the_first_sentence_and_short_ones_are_none(library: Path) -> None:
    chunks = by_id(load_corpus(library))
    assert chunks["json:parse"].question == "Parse a text into a tree of nodes."
    assert chunks["json:Tree.close"].question is None
    assert chunks["mystery:lonely"].question is None


def test_segments_come_from_the_package_with_a_default(library: Path) -> None:
    chunks = by_id(load_corpus(library))
    assert chunks["json:parse"].segment == "files"
    assert chunks["mystery:lonely"].segment == DEFAULT_SEGMENT


def test_equal_texts_are_kept_once_and_shared_questions_are_dropped(tmp_path: Path) -> None:
    twin = 'def a(x):\n    """Return the {} of x as text."""\n    return {}\n'
    (tmp_path / "one.py").write_text(twin.format("name", "x.name"), "utf-8")
    (tmp_path / "two.py").write_text(twin.format("name", "x.name"), "utf-8")
    (tmp_path / "three.py").write_text(twin.format("size", "x.size"), "utf-8")
    (tmp_path / "zero.py").write_text(twin.format("size", "len(x)"), "utf-8")
    found = [(chunk.chunk_id, chunk.question) for chunk in load_corpus(tmp_path)]
    assert found == [
        ("one:a", "Return the name of x as text."),
        ("three:a", None),
        ("zero:a", None),
    ]


def test_the_library_of_this_interpreter_is_a_corpus_of_useful_size(
    standard_chunks: tuple[CorpusChunk, ...],
) -> None:
    chunks = standard_chunks
    questions = [chunk for chunk in chunks if chunk.question is not None]
    assert len(chunks) >= 5_000
    assert len(questions) >= 2_500
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)
    assert len({chunk.text for chunk in chunks}) == len(chunks)
    assert all(0 < len(chunk.text) <= MAX_CHUNK_CHARS for chunk in chunks)
    for segment in {*families().values(), DEFAULT_SEGMENT}:
        assert sum(chunk.segment == segment for chunk in questions) >= 50, segment
    assert [chunk.chunk_id for chunk in chunks] == sorted(chunk.chunk_id for chunk in chunks)


def test_no_question_is_left_in_the_text_it_was_taken_from(
    standard_chunks: tuple[CorpusChunk, ...],
) -> None:
    leaks = [
        chunk.chunk_id
        for chunk in standard_chunks
        if chunk.question is not None and chunk.question in " ".join(chunk.text.split())
    ]
    # A comment or message may repeat the docstring's words; the docstring itself never stays.
    assert len(leaks) <= 5, leaks
