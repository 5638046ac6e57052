"""What a table has beside one vector, and readers who come when the pointer is being made."""

from __future__ import annotations

from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import Bitmap
from tests.contract.reembed.stores import points, unit

from ragwheel.reembed.indexes.contracts import IndexBuild, IndexRefusedError, SpaceVectors
from ragwheel.reembed.indexes.lance import LanceIndex, serving_table
from ragwheel.schemas.secrets import StoreUrl

pytestmark = pytest.mark.integration

VECTORS = unit(2, 4)


def index_of(folder: Path, **columns: object) -> LanceIndex:
    """An index of a table `chunks` that a service made of two rows."""
    table = pa.table(
        {"id": pa.array([1, 2], pa.int64()), "lang": ["en", "nl"],
         "embedding": pa.array([[1.0, 0.0], [0.0, 1.0]], pa.list_(pa.float32(), 2)), **columns}
    )  # fmt: skip
    lancedb.connect(str(folder)).create_table("chunks", table)
    return LanceIndex(StoreUrl(f"lancedb://{folder}#chunks"))


def test_columns_types_and_indexes_are_those_of_the_table_that_is_replaced(tmp_path: Path) -> None:
    index = index_of(tmp_path)
    old = lancedb.connect(str(tmp_path)).open_table("chunks")
    old.create_index("lang", config=Bitmap())
    build = IndexBuild("chunks__two", "two", 4, "chunks")
    index.create(build)
    refused = index.upsert(build, points(["1", "2", "3"], "two", np.vstack([VECTORS, VECTORS[:1]])))
    assert list(refused) == ["3"]
    for _ in range(2):
        found = index.verify(build, SpaceVectors("two", VECTORS), depth=1)
        assert (found.count, found.hits) == (2, [["1"], ["2"]])
    made = lancedb.connect(str(tmp_path)).open_table("chunks__two")
    assert made.schema.names == ["id", "lang", "embedding"]
    assert made.schema.field("embedding").type == pa.list_(pa.float32(), 4)
    assert [(each.index_type, each.columns) for each in made.list_indices()] == [
        ("Bitmap", ["lang"])
    ]


def test_vectors_of_two_models_a_row_are_refused(tmp_path: Path) -> None:
    image = pa.array([[1.0, 0.0], [0.0, 1.0]], pa.list_(pa.float32(), 2))
    with pytest.raises(IndexRefusedError, match="2 columns of vectors"):
        index_of(tmp_path, image=image).create(IndexBuild("chunks__two", "two", 4, "chunks"))


def test_a_pointer_that_is_not_written_yet_leads_to_the_table_of_that_name(tmp_path: Path) -> None:
    index = index_of(tmp_path)
    (tmp_path / "chunks__serving.lance" / "_versions").mkdir(parents=True)
    assert serving_table(lancedb.connect(str(tmp_path)), "chunks").name == "chunks"
    assert index.serving() == "chunks"


def test_a_pointer_whose_making_was_ended_is_made(tmp_path: Path) -> None:
    index = index_of(tmp_path)
    (tmp_path / "chunks__serving.lance" / "_versions").mkdir(parents=True)
    build = IndexBuild("chunks__two", "two", 4, "chunks")
    index.create(build)
    index.point(build, "chunks")
    assert index.serving() == "chunks__two"
    assert serving_table(lancedb.connect(str(tmp_path)), "chunks").name == "chunks__two"
