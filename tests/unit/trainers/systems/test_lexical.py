"""Keyword search as it is known: the scores of Lucene's BM25, and nothing for unknown words."""

from __future__ import annotations

import math

import pytest

from ragwheel.trainers.data.records import Corpus
from ragwheel.trainers.systems.contracts import NO_RESULT, Asked
from ragwheel.trainers.systems.lexical import K1, B, LexicalSystem

TEXTS = ("Parse the JSON file", "parse_json(file)", "write a file", "write", "x y z")


def rank(query: str, texts: tuple[str, ...] = TEXTS) -> tuple[list[int], list[float]]:
    corpus = Corpus(tuple(f"{n}" for n in range(len(texts))), texts)
    found = LexicalSystem(corpus).rank([Asked("q", query, "code")], 4)
    return found.rows[0].tolist(), found.scores[0].tolist()


def test_scores_are_those_of_the_definition() -> None:
    rows, scores = rank("WRITE!")
    lengths = [4, 2, 3, 1, 3]
    idf = math.log(1 + (5 - 2 + 0.5) / (2 + 0.5))
    expected = [idf / (1 + K1 * (1 - B + B * length / (sum(lengths) / 5))) for length in (1, 3)]
    assert rows == [3, 2, NO_RESULT, NO_RESULT]
    assert scores[:2] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("query", ["", "?!", "unheard", "ü"])
def test_a_query_without_a_known_word_finds_nothing(query: str) -> None:
    assert rank(query)[0] == [NO_RESULT] * 4


def test_words_of_one_letter_are_words() -> None:
    assert rank("z")[0][0] == 4


def test_texts_without_a_word_are_an_index_that_finds_nothing() -> None:
    assert rank("word", ("?", "!!"))[0] == [NO_RESULT] * 4


def test_equal_scores_at_the_cut_come_in_corpus_order() -> None:
    assert rank("same", ("same thing",) * 9)[0] == [0, 1, 2, 3]
