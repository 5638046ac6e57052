"""A run prepares material whose answers are known, and reads back only what fits together."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ragwheel.demo.corpus import CorpusChunk
from ragwheel.demo.material import Material, choose, group_of, write_gold
from ragwheel.demo.options import SCALES, Scale
from ragwheel.demo.readings import pivot
from ragwheel.demo.scrape import Scraped
from ragwheel.demo.truth import held_out
from ragwheel.demo.watching import last_message, threshold
from ragwheel.schemas import metrics
from ragwheel.schemas.identity import query_hash
from ragwheel.stack.llm import GoldGrader, load_gold
from ragwheel.trainers.data.split import part_of

CORPUS = tuple(
    CorpusChunk(
        chunk_id=f"module{n % 5}:Class{n % 3}.method_{n}",
        text=f"def method_{n}(self): return {n}",
        segment="text",
        question=f"Return the number {n}" if n % 2 else None,
    )
    for n in range(100)
)


def scale(chunks: int, questions: int) -> Scale:
    small = SCALES["small"]
    return Scale(**{name: getattr(small, name) for name in Scale.__slots__} | {
        "chunks": chunks, "questions": questions,
    })  # fmt: skip


def material(seed: int = 1) -> Material:
    return choose(CORPUS, scale(60, 30), random.Random(seed))


def test_every_question_has_its_answer_in_the_index() -> None:
    chosen = material()

    texts = {chunk.chunk_id: chunk.question for chunk in chosen.chunks}
    assert len(chosen.chunks) == 60
    assert len(chosen.questions) == 30
    assert all(texts[question.chunk_id] == question.text for question in chosen.questions)


def test_a_seed_draws_the_same_material_again() -> None:
    assert material(1) == material(1)
    assert material(1) != material(2)


def test_a_corpus_that_is_too_small_gives_what_it_has() -> None:
    chosen = choose(CORPUS, scale(5_000, 5_000), random.Random(1))

    assert len(chosen.chunks) == 100
    assert len(chosen.questions) == 50


def test_the_demo_grader_learns_the_right_answers(tmp_path: Path) -> None:
    chosen = material()
    write_gold(chosen, tmp_path / "new" / "gold.json")
    grader = GoldGrader(load_gold(tmp_path / "new" / "gold.json"), error_rate=0.0)
    question = chosen.questions[0]
    text_of = {chunk.chunk_id: chunk.text for chunk in chosen.chunks}
    neighbours = [
        chunk
        for chunk in chosen.chunks
        if group_of(chunk.chunk_id) == group_of(question.chunk_id)
        and chunk.chunk_id != question.chunk_id
    ]
    strangers = [
        chunk for chunk in chosen.chunks if group_of(chunk.chunk_id) != group_of(question.chunk_id)
    ]

    assert grader.grade("m", question.text.upper(), text_of[question.chunk_id]) == 3
    assert grader.grade("m", question.text, neighbours[0].text) == 1
    assert grader.grade("m", question.text, strangers[0].text) == 0


def test_neighbours_share_a_class_or_a_module() -> None:
    assert group_of("os:walk") == group_of("os:fwalk") != group_of("os:Environ.copy")


def test_held_out_questions_are_those_that_the_trainer_never_trains_on() -> None:
    chosen = material()

    out = held_out(chosen.questions, 0.4)

    assert 0 < len(out) < len(chosen.questions)
    assert {part_of(query_hash(question.text), 0.4) for question in out} == {"gate"}
    assert all(part_of(query_hash(question.text.upper()), 0.4) == "gate" for question in out), (
        "no spelling of a held-out question is trained on"
    )


@pytest.mark.parametrize("name", ["full", "small"])
def test_scales_make_sense(name: str) -> None:
    one = SCALES[name]  # type: ignore[index]  # both names of the literal

    assert one.chunks >= one.questions
    assert one.searches >= one.questions + one.zero_results
    assert one.train_min_queries * 2 > one.questions * 0.9, "no second training begins by itself"


def test_the_full_scale_has_the_size_that_was_asked_for() -> None:
    assert SCALES["full"].chunks >= 5_000


def test_rows_of_metrics_become_comparisons_of_three_systems() -> None:
    rows = [
        ("recall", 10, "*", "incumbent", 0.6, 0.5, 0.7, 300),
        ("recall", 10, "*", "candidate", 0.7, 0.6, 0.8, 300),
        ("recall", 10, "*", "delta", 0.1, 0.05, 0.15, 300),
        ("recall", 5, "*", "incumbent", 0.5, 0.4, 0.6, 300),
        ("ndcg", 10, "*", "incumbent", 0.5, 0.4, 0.6, 300),
    ]

    (row,) = pivot(rows)

    assert (row.name, row.segment, row.queries) == ("recall@10", "*", 300)
    assert (row.before.value, row.after.value, row.delta.low) == (0.6, 0.7, 0.05)


def test_metrics_are_read_by_their_labels() -> None:
    scraped = Scraped(
        "# TYPE ragwheel_train_queries_available gauge\n"
        "ragwheel_train_queries_available 12.0\n"
        "# TYPE ragwheel_train_queries_threshold gauge\n"
        "ragwheel_train_queries_threshold 100.0\n"
        "# TYPE ragwheel_train_cycles_total counter\n"
        'ragwheel_train_cycles_total{verdict="failed"} 2.0\n'
    )

    assert scraped.value(metrics.TRAIN_CYCLES, verdict="failed") == 2.0
    assert scraped.value(metrics.TRAIN_CYCLES, verdict="promoted") is None
    assert threshold(scraped) == "training starts at 100 answered queries, 12 are there"
    assert threshold(Scraped()) == "the trainer has not counted yet"


def test_the_last_message_of_a_log_is_shown_without_its_head(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    assert last_message(log) == "nothing from the log yet"

    log.write_text(
        "2026-11-23 09:00:00 INFO    ragwheel.trainers.process: training: batch 30 of 120\n"
    )
    assert last_message(log) == "training: batch 30 of 120"


def test_what_libraries_say_about_their_folders_is_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    log.write_text(
        "2026-11-23 09:00:00 INFO    ragwheel.trainers.process: training: batch 120 of 120\n"
        "2026-11-23 09:00:01 INFO    sentence_transformers.base.model: Saving model to /m/.new-1\n"
        "Traceback: not a line of ours\n"
    )

    assert last_message(log) == "training: batch 120 of 120"
