"""Vector stores: real PostgreSQL with pgvector, Qdrant's local mode and LanceDB embedded; of
OpenSearch, Elasticsearch and Milvus the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from tests.contract.reembed.engines import lance_store, pgvector_store, qdrant_store
from tests.contract.reembed.fake_milvus import TOKEN, FakeMilvus
from tests.contract.reembed.fake_search import PASSWORD, USER, FakeSearchEngine
from tests.contract.reembed.fake_wire import json_server
from tests.contract.reembed.stores import Search, Store, postgres_server

from ragwheel.models.encoder import Vectors
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.schemas.secrets import StoreUrl


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL with pgvector for the session: its URL."""
    with postgres_server(tmp_path_factory.mktemp("runtime"), tmp_path_factory.mktemp("pg")) as url:
        yield url


@pytest.fixture
def database(postgres: str) -> str:
    """Name of a table of the test's own."""
    return f"chunks_{uuid4().hex[:8]}"


@pytest.fixture
def pgvector(postgres: str, database: str) -> Iterator[Store]:
    """PostgreSQL."""
    with pgvector_store(postgres, database) as store:
        yield store


@pytest.fixture
def qdrant(tmp_path: Path) -> Iterator[Store]:
    """Qdrant's local mode."""
    with qdrant_store(tmp_path / "qdrant") as store:
        yield store


@pytest.fixture
def lance(tmp_path: Path) -> Iterator[Store]:
    """LanceDB."""
    with lance_store(tmp_path / "lance") as store:
        yield store


@contextmanager
def _search_engine(scheme: str, field: dict[str, Any]) -> Iterator[Store]:
    """An index with an alias that a service made, over the wire of a fake."""
    elastic = scheme == "elasticsearch"

    def own(ids: Sequence[str], vectors: Vectors) -> str:
        width = {"dims" if elastic else "dimension": vectors.shape[1]}
        properties = {"embedding": {**field, **width}, "lang": {"type": "keyword"}}
        lines: list[Any] = []
        for each, vector in zip(ids, vectors, strict=True):
            source = {"embedding": vector.tolist(), "lang": f"of {each}"}
            lines += [{"index": {"_id": each}}, source]
        http.put("/first", json={"mappings": {"properties": properties}}).raise_for_status()
        body = "".join(json.dumps(line) + "\n" for line in lines)
        http.post("/first/_bulk", content=body).raise_for_status()
        http.post("/first/_refresh").raise_for_status()
        add = {"add": {"index": "first", "alias": "chunks", "routing": "1"}}
        http.post("/_aliases", json={"actions": [add]}).raise_for_status()
        return "first"

    @contextmanager
    def open_search() -> Iterator[Search]:
        def search(query: Vectors) -> list[str]:
            near = {"field": "embedding", "query_vector": query.tolist(), "k": 3}
            body = (
                {"size": 3, "knn": near} if elastic
                else {"size": 3, "query": {"knn": {"embedding": {"vector": query.tolist()}}}}
            )  # fmt: skip
            answer = http.post("/chunks/_search", json=body).raise_for_status().json()
            return [each["_id"] for each in answer["hits"]["hits"]]

        yield search

    def columns(physical: str) -> dict[str, str]:
        said = http.post(f"/{physical}/_mget", json={"ids": [f"chunk-{n}'s" for n in range(20)]})
        return {each["_id"]: each["_source"]["lang"] for each in said.json()["docs"]}

    def change(chunk_id: str, lang: str) -> None:
        said = http.post("/chunks/_mget", json={"ids": [chunk_id]}).json()["docs"][0]["_source"]
        lines = [{"index": {"_id": chunk_id}}, {**said, "lang": lang}]
        body = "".join(json.dumps(line) + "\n" for line in lines)
        http.post("/chunks/_bulk", content=body).raise_for_status()

    with (
        json_server(FakeSearchEngine(elastic).answer) as wire,
        httpx.Client(base_url=f"http://{wire}", auth=(USER, PASSWORD)) as http,
    ):
        url = f"{scheme}+http://{USER}:{quote(PASSWORD, safe='')}@{wire}#chunks"
        store = Store(open_index(StoreUrl(url)), own, open_search, columns, change)
        yield store
        store.index.close()


@pytest.fixture
def opensearch() -> Iterator[Store]:
    """OpenSearch's wire."""
    with _search_engine("opensearch", {"type": "knn_vector"}) as store:
        yield store


@pytest.fixture
def elasticsearch() -> Iterator[Store]:
    """Elasticsearch's wire."""
    with _search_engine("elasticsearch", {"type": "dense_vector"}) as store:
        yield store


@pytest.fixture
def milvus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A collection with an alias that a service made, over Milvus's wire."""
    monkeypatch.setattr("ragwheel.reembed.indexes.milvus._LOAD_PAUSE_S", 0.001)
    engine = FakeMilvus()

    def own(ids: Sequence[str], vectors: Vectors) -> str:
        fields = [
            {"fieldName": "id", "dataType": "VarChar", "isPrimary": True,
             "elementTypeParams": {"max_length": 64}},
            {"fieldName": "lang", "dataType": "VarChar", "elementTypeParams": {"max_length": 64}},
            {"fieldName": "embedding", "dataType": "FloatVector",
             "elementTypeParams": {"dim": vectors.shape[1]}},
        ]  # fmt: skip
        index = {"fieldName": "embedding", "indexName": "e", "metricType": "IP"}
        lang = {"fieldName": "lang", "indexName": "l", "indexType": "INVERTED"}
        ask(
            "collections/create", collectionName="first", indexParams=[index, lang],
            schema={"enableDynamicField": False, "fields": fields},
        )  # fmt: skip
        rows = [
            {"id": each, "lang": f"of {each}", "embedding": vector.tolist()}
            for each, vector in zip(ids, vectors, strict=True)
        ]
        ask("entities/upsert", collectionName="first", data=rows)
        ask("aliases/create", collectionName="first", aliasName="chunks")
        return "first"

    @contextmanager
    def open_search() -> Iterator[Search]:
        yield lambda query: [
            row["id"]
            for row in ask(
                "entities/search", collectionName="chunks", data=[query.tolist()],
                annsField="embedding", limit=3,
            )
        ]  # fmt: skip

    def columns(physical: str) -> dict[str, str]:
        assert [each["fieldName"] for each in engine.collections[physical].indexes] == [
            "embedding", "lang",
        ]  # fmt: skip
        return {key: row["lang"] for key, row in engine.collections[physical].rows.items()}

    def change(chunk_id: str, lang: str) -> None:
        rows = ask("entities/get", collectionName="chunks", id=[chunk_id])
        ask("entities/upsert", collectionName="chunks", data=[{**rows[0], "lang": lang}])

    def ask(verb: str, **body: Any) -> Any:
        headers = {"Authorization": TOKEN}
        said = {"dbName": "main", **body}
        return http.post(f"/v2/vectordb/{verb}", json=said, headers=headers).json()["data"]

    with (
        json_server(engine.answer) as wire,
        httpx.Client(base_url=f"http://{wire}") as http,
    ):
        index = open_index(StoreUrl(f"milvus+http://me:hush@{wire}/main#chunks"))
        yield Store(index, own, open_search, columns, change)
        index.close()


@pytest.fixture(params=["pgvector", "qdrant", "lance", "opensearch", "elasticsearch", "milvus"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn."""
    found: Store = request.getfixturevalue(request.param)
    return found
