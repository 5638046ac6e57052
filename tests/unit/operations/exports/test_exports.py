"""A snapshot in the formats of others: loaded by their libraries, and nothing lost on the way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from tests.rigs.trainer_world import NOON, graded, save_base_model

from ragwheel.models.encoder import load_encoder
from ragwheel.models.manifest import TrainConfig
from ragwheel.operations.exports import sentence_transformers as triplets
from ragwheel.operations.exports.formats import FORMATS, ExportError, export
from ragwheel.schemas import identity
from ragwheel.trainers.data import folder
from ragwheel.trainers.data.records import Corpus, SampledQuery
from ragwheel.trainers.data.snapshot import Recipe, Snapshot, build_snapshot
from ragwheel.trainers.data.split import Membership, Part, Sides

PARTS: tuple[Part, ...] = ("train", "train", "dev", "gate", "aside")


def make_snapshot() -> Snapshot:
    """Texts with every mark that a format uses, and chunks in two indexes."""
    rng = random.Random(0)
    texts = [f'code{n}\t"{n}"\n, ü{n}' for n in range(30)]
    by_hash = {identity.content_hash(text): text for text in texts}
    hashes = sorted(by_hash)
    queries, sides, grades = [], {}, []
    for number in range(25):
        text = f'ask{number}\tis "it"\n{number}'
        query_hash = identity.query_hash(text)
        queries.append(
            SampledQuery(query_hash, text, "id", "all", NOON, "all", 0.5, 1, tuple(hashes), NOON)
        )
        sides[query_hash] = Membership(query_hash, PARTS[number % 5])
        for chunk in rng.sample(hashes, rng.randint(0, 9)):
            grades.append(graded(query_hash, chunk, rng.randint(0, 3)))
    corpus = Corpus(tuple(hashes), tuple(by_hash[each] for each in hashes))
    recipe = Recipe("base", "f", TrainConfig(), 1, 0.2)
    return build_snapshot(queries, Sides(sides), grades, None, corpus, recipe)


SNAPSHOT = make_snapshot()
TEXT = dict(zip(SNAPSHOT.corpus.chunk_hashes, SNAPSHOT.corpus.texts, strict=True))
QUERY = {each.query_hash: each.query for each in SNAPSHOT.queries}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder.write(SNAPSHOT, tmp_path_factory.mktemp("root"))


def grades_of(part: str) -> dict[tuple[str, str], int]:
    return {
        (each.said.query_hash, each.said.chunk_hash): each.said.grade
        for each in SNAPSHOT.evidence
        if SNAPSHOT.sides.part(each.said.query_hash) == part
    }


def expected_triplets(part: str) -> set[tuple[str, str, str]]:
    return {
        (each.query, TEXT[good.chunk_hash], TEXT[bad])
        for each in getattr(SNAPSHOT, part)
        for good in each.positives
        for bad in each.negatives
    }


@pytest.mark.parametrize("part", ["train", "dev"])
def test_triplets_are_every_positive_with_every_negative_of_its_query(
    stored: Path, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few at once that queries and files are cut everywhere.
    monkeypatch.setattr(triplets, "_TRIPLETS_AT_ONCE", 3)
    monkeypatch.setattr(triplets, "_LISTS_AT_ONCE", 2)
    export(stored, "sentence-transformers", tmp_path / "to")
    table = pq.read_table(tmp_path / "to" / part / "triplets.parquet")
    assert table.column_names == ["anchor", "positive", "negative"]
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert len(rows) == len(set(rows)) > 0
    assert set(rows) == expected_triplets(part)
    lists = pq.read_table(tmp_path / "to" / part / "lists.parquet").to_pylist()
    assert [row["query"] for row in lists] == [each.query for each in getattr(SNAPSHOT, part)]
    for row, each in zip(lists, getattr(SNAPSHOT, part), strict=True):
        known = {TEXT[p.chunk_hash]: float(p.grade) for p in each.positives}
        known |= {TEXT[chunk]: 0.0 for chunk in each.negatives}
        assert dict(zip(row["docs"], row["labels"], strict=True)) == known
        assert row["labels"] == sorted(row["labels"], reverse=True)


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_the_files_and_losses_of_sentence_transformers_take_them(
    stored: Path, tmp_path: Path
) -> None:
    from datasets import load_dataset
    from sentence_transformers.sentence_transformer.losses import (
        MultipleNegativesRankingLoss,
        TripletLoss,
    )

    export(stored, "sentence-transformers", tmp_path / "to")
    files = {part: str(tmp_path / "to" / part / "triplets.parquet") for part in ("train", "dev")}
    loaded = load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {tuple(row.values()) for row in loaded["dev"]} == expected_triplets("dev")
    model = load_encoder(save_base_model(tmp_path / "base"), 64).model
    columns = loaded["train"][:8]
    features = [model.preprocess(columns[name]) for name in loaded["train"].column_names]
    for loss in (MultipleNegativesRankingLoss(model), TripletLoss(model)):
        assert np.isfinite(float(loss([dict(each) for each in features], None)))


@pytest.mark.filterwarnings("ignore")
def test_lists_are_what_a_reranking_loss_takes(stored: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    export(stored, "sentence-transformers", tmp_path / "to")
    lists = load_dataset(
        "parquet", data_files=str(tmp_path / "to/train/lists.parquet"),
        cache_dir=str(tmp_path / "cache"),
    )["train"]  # fmt: skip
    # LambdaLoss and its kin: inputs (query, documents of each query), labels of each document.
    assert lists.column_names == ["query", "docs", "labels"]
    assert all(len(row["docs"]) == len(row["labels"]) > 0 for row in lists)
    assert lists.features["labels"].feature.dtype == "float32"


def test_passages_come_back_as_they_were(stored: Path, tmp_path: Path) -> None:
    export(stored, "jsonl", tmp_path / "to")
    rows = [orjson.loads(line) for line in (tmp_path / "to/train.jsonl").read_bytes().splitlines()]
    assert len(rows) == len(SNAPSHOT.train)
    for row, each in zip(rows, SNAPSHOT.train, strict=True):
        assert row == {
            "query": each.query,
            "relevant_passages": [TEXT[good.chunk_hash] for good in each.positives],
            "hard_negatives": [TEXT[bad] for bad in each.negatives],
        }


def test_beir_comes_back_as_it_was(stored: Path, tmp_path: Path) -> None:
    export(stored, "beir", tmp_path / "to")
    to = tmp_path / "to"
    corpus = [orjson.loads(line) for line in (to / "corpus.jsonl").read_bytes().splitlines()]
    assert {row["_id"]: row["text"] for row in corpus} == TEXT
    queries = [orjson.loads(line) for line in (to / "queries.jsonl").read_bytes().splitlines()]
    assert {row["_id"]: row["text"] for row in queries} == QUERY
    for split, part in (("train", "train"), ("dev", "dev"), ("test", "gate")):
        # As beir.datasets.data_loader does it: a header, then three columns.
        head, *lines = (to / "qrels" / f"{split}.tsv").read_text().splitlines()
        assert head == "query-id\tcorpus-id\tscore"
        rows = [line.split("\t") for line in lines]
        assert {(query, chunk): int(grade) for query, chunk, grade in rows} == grades_of(part)


def test_trec_qrels_are_read_by_ir_measures(stored: Path, tmp_path: Path) -> None:
    export(stored, "trec", tmp_path / "to")
    for split, part in (("train", "train"), ("dev", "dev"), ("test", "gate")):
        path = str(tmp_path / f"to/qrels.{split}.txt")
        qrels = list(ir_measures.read_trec_qrels(path))  # type: ignore[no-untyped-call] # theirs
        assert {(each.query_id, each.doc_id): each.relevance for each in qrels} == grades_of(part)
        lines = (tmp_path / f"to/topics.{split}.tsv").read_text().splitlines()
        topics = dict(line.split("\t") for line in lines)
        members = {each.query_hash: each.query for each in SNAPSHOT.of_part(part)}  # type: ignore[arg-type]
        assert topics == {key: " ".join(text.split()) for key, text in members.items()}


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_format_cannot_hold_is_beside_it(stored: Path, tmp_path: Path, name: str) -> None:
    export(stored, name, tmp_path / "to")
    rows = pq.read_table(tmp_path / "to" / "pairs.parquet").to_pylist()
    weight_of = {each.query_hash: each.weight for each in (*SNAPSHOT.train, *SNAPSHOT.dev)}
    assert [_row(row) for row in rows] == [
        (
            held.said.query_hash, held.said.chunk_hash, held.said.grade, held.said.source,
            held.said.agreement, held.belief, SNAPSHOT.sides.part(held.said.query_hash), 0.5,
            weight_of.get(held.said.query_hash),
        )
        for held in SNAPSHOT.evidence
    ]  # fmt: skip


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("query_hash", "chunk_hash", "grade", "source", "agreement", "belief", "part")
    return (*(row[name] for name in names), row["inclusion_probability"], row["example_weight"])


def test_nothing_is_written_over(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for to in (tmp_path, tmp_path / "mine"):
        with pytest.raises(ExportError, match="name a new or empty folder"):
            export(stored, "beir", to)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert export(stored, "beir", tmp_path / "empty").files["corpus.jsonl"] > 0


def test_an_export_that_fails_leaves_nothing(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(folder.SnapshotError, match="holds no snapshot"):
        export(stored.parent / "texts", "beir", tmp_path / "to")
    assert list(tmp_path.iterdir()) == []
