"""What a collection has beside one plain vector, and ids that Qdrant does not take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import models
from tests.contract.reembed.stores import points, unit

from ragwheel.reembed.indexes.contracts import IndexBuild, IndexRefusedError, SpaceVectors
from ragwheel.reembed.indexes.qdrant import QdrantIndex, point_id
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.secrets import StoreUrl

pytestmark = pytest.mark.integration

VECTORS = unit(2, 4)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[QdrantIndex]:
    made = QdrantIndex(StoreUrl(f"qdrant+path://{tmp_path}/qdrant#chunks"))
    yield made
    made.close()


def dense() -> models.VectorParams:
    return models.VectorParams(size=2, distance=models.Distance.DOT)


def test_names_of_vectors_and_sparse_vectors_go_along(index: QdrantIndex) -> None:
    db = index._db  # local mode locks its folder: the service's client is ours
    db.create_collection(
        "first", {"text": dense()}, sparse_vectors_config={"words": models.SparseVectorParams()}
    )
    words = models.SparseVector(indices=[3], values=[0.5])
    db.upsert("first", [models.PointStruct(id=7, vector={"text": [1.0, 0.0], "words": words})])
    build = IndexBuild("chunks__two", "two", 4, "first")
    index.create(build)
    refused = index.upsert(build, points(["7", "8"], "two", VECTORS))
    assert list(refused) == ["8"]
    found = index.verify(build, SpaceVectors("two", VECTORS[:1]))
    assert (found.count, found.hits) == (1, [["7"]])
    made = db.query_points("chunks__two", query=words, using="words").points
    assert [each.id for each in made] == [7]
    params = db.get_collection("chunks__two").config.params.vectors
    assert isinstance(params, dict)
    assert (params["text"].size, params["text"].distance) == (4, models.Distance.DOT)


def test_vectors_of_two_models_a_point_are_refused(index: QdrantIndex) -> None:
    index._db.create_collection("first", {"text": dense(), "image": dense()})
    with pytest.raises(IndexRefusedError, match=r"2 dense vectors a point \(text, image\)"):
        index.create(IndexBuild("chunks__two", "two", 4, "first"))


def test_a_vector_of_many_rows_is_refused(index: QdrantIndex) -> None:
    late = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    index._db.create_collection("first", dense().model_copy(update={"multivector_config": late}))
    with pytest.raises(IndexRefusedError, match="1 of them of many rows"):
        index.create(IndexBuild("chunks__two", "two", 4, "first"))


def test_a_collection_under_the_name_itself_is_refused(index: QdrantIndex) -> None:
    index._db.create_collection("chunks", dense())
    with pytest.raises(IndexRefusedError, match="make an alias for it"):
        index.serving()


def test_a_chunk_id_that_qdrant_takes_stays_and_others_become_one_of_theirs() -> None:
    assert point_id("7") == 7
    assert point_id("6f1c4f3e5d0b4f6e9b8a2f1f0c9d4e11") == "6f1c4f3e-5d0b-4f6e-9b8a-2f1f0c9d4e11"
    made = {point_id(each) for each in ("007", "-1", "a", "A", "18446744073709551616")}
    assert len(made) == 5
    assert all(isinstance(each, str) for each in made)


def test_a_store_that_does_not_answer_is_said_without_its_key() -> None:
    index = QdrantIndex(StoreUrl("qdrant+https://hush@127.0.0.1:9#chunks"))
    with pytest.raises(UnavailableError, match=r"qdrant\+https://127\.0\.0\.1:9#chunks") as away:
        index.serving()
    assert "hush" not in str(away.value)
    index.close()
