"""Real engines, each with what a service has in it: PostgreSQL, Qdrant's local mode, LanceDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lancedb
import psycopg
import pyarrow as pa
from psycopg import sql
from qdrant_client import models
from tests.contract.reembed.stores import Search, Store

from ragwheel.models.encoder import Vectors
from ragwheel.reembed.indexes.lance import LanceIndex, serving_table
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.reembed.indexes.qdrant import QdrantIndex, point_id
from ragwheel.schemas.secrets import StoreUrl


@contextmanager
def pgvector_store(postgres: str, database: str) -> Iterator[Store]:
    """A plain table that a service made."""
    name = sql.Identifier(database)

    def own(ids: Sequence[str], vectors: Vectors) -> str:
        with psycopg.connect(postgres, autocommit=True) as db:
            db.execute(
                sql.SQL(
                    "CREATE TABLE {} (id text PRIMARY KEY, embedding vector({}), "
                    "lang text NOT NULL)"
                ).format(name, sql.Literal(vectors.shape[1]))
            )
            for each, vector in zip(ids, vectors, strict=True):
                insert = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(name)
                db.execute(insert, [each, str(vector.tolist()), f"of {each}"])
        return f"{database}__origin"

    @contextmanager
    def open_search() -> Iterator[Search]:
        with psycopg.connect(postgres, autocommit=True) as db:
            select = sql.SQL(
                "SELECT id, lang FROM {} ORDER BY embedding <=> %s::vector LIMIT 3"
            ).format(name)
            yield lambda query: [r[0] for r in db.execute(select, [str(query.tolist())])]

    def columns(physical: str) -> dict[str, str]:
        with psycopg.connect(postgres, autocommit=True) as db:
            table = sql.Identifier(physical)
            return dict(db.execute(sql.SQL("SELECT id, lang FROM {}").format(table)).fetchall())

    def change(chunk_id: str, lang: str) -> None:
        with psycopg.connect(postgres, autocommit=True) as db:
            update = sql.SQL("UPDATE {} SET lang = %s WHERE id = %s").format(name)
            db.execute(update, [lang, chunk_id])

    index = open_index(StoreUrl(f"{postgres}#{database}"))
    yield Store(index, own, open_search, columns, change)
    index.close()


@contextmanager
def qdrant_store(folder: Path) -> Iterator[Store]:
    """A collection with an alias that a service made. Local mode: one process, one client."""
    index = open_index(StoreUrl(f"qdrant+path://{folder}#chunks"))
    assert isinstance(index, QdrantIndex)
    db = index._db  # local mode locks its folder: the service's client is ours

    def own(ids: Sequence[str], vectors: Vectors) -> str:
        params = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
        db.create_collection("first", vectors_config=params)
        db.upsert(
            "first",
            [
                models.PointStruct(
                    id=point_id(each), vector=vector.tolist(),
                    payload={"chunk_id": each, "lang": f"of {each}"},
                )
                for each, vector in zip(ids, vectors, strict=True)
            ],
        )  # fmt: skip
        alias = models.CreateAlias(collection_name="first", alias_name="chunks")
        db.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        return "first"

    @contextmanager
    def open_search() -> Iterator[Search]:
        yield lambda query: [
            str((each.payload or {})["chunk_id"])
            for each in db.query_points("chunks", query=query.tolist(), limit=3).points
        ]

    def columns(physical: str) -> dict[str, str]:
        found, _ = db.scroll(physical, limit=10_000)
        return {str(p.payload["chunk_id"]): p.payload["lang"] for p in found if p.payload}

    def change(chunk_id: str, lang: str) -> None:
        db.set_payload("chunks", {"lang": lang}, points=[point_id(chunk_id)])

    yield Store(index, own, open_search, columns, change)
    index.close()


@contextmanager
def lance_store(folder: Path) -> Iterator[Store]:
    """A table that a service made."""
    index = open_index(StoreUrl(f"lancedb://{folder}#chunks"))
    assert isinstance(index, LanceIndex)

    def own(ids: Sequence[str], vectors: Vectors) -> str:
        flat = pa.array(vectors.reshape(-1), pa.float32())
        table = pa.table(
            {
                "id": list(ids),
                "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
                "lang": [f"of {each}" for each in ids],
            }
        )
        lancedb.connect(str(folder)).create_table("chunks", table)
        return "chunks"

    @contextmanager
    def open_search() -> Iterator[Search]:
        db = lancedb.connect(str(folder))
        yield (
            lambda query: (
                serving_table(db, "chunks").search(query).limit(3).to_arrow()["id"].to_pylist()
            )
        )

    def columns(physical: str) -> dict[str, str]:
        rows = lancedb.connect(str(folder)).open_table(physical).to_arrow()
        return dict(zip(rows["id"].to_pylist(), rows["lang"].to_pylist(), strict=True))

    def change(chunk_id: str, lang: str) -> None:
        table = serving_table(lancedb.connect(str(folder)), "chunks")
        table.update(
            where=f"id = '{chunk_id.replace(chr(39), chr(39) * 2)}'", values={"lang": lang}
        )

    yield Store(index, own, open_search, columns, change)
    index.close()
