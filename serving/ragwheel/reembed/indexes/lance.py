"""LanceDB: a table per build, and a pointer that readers follow (`serving_table`).

A table of LanceDB has one vector column of one width, so a build of another model is a table of its
own. The pointer is the table NAME__serving with one row, replaced as one commit, on any file system
or object store that LanceDB writes to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ragwheel.reembed.indexes.contracts import (
    Found,
    IndexBuild,
    IndexRefusedError,
    Points,
    SpaceVectors,
    check_droppable,
    check_move,
    check_space,
    check_stored,
)
from ragwheel.schemas.errors import DependencyError, UnavailableError
from ragwheel.schemas.secrets import StoreUrl

_FINGERPRINT = b"ragwheel.document_fingerprint"
_OWN = ("id", "vector", "chunk_hash", "text")
#: Rows from which a vector index is worth its training; below, every search is exact and fast.
_INDEXED_ROWS = 50_000


def serving_table(db: Any, name: str) -> Any:
    """The table to search under `name`: what the pointer says, else the table of that name."""
    pointer = f"{name}__serving"
    if pointer in _tables(db):
        name = db.open_table(pointer).to_arrow()["physical"][0].as_py()
    return db.open_table(name)


class LanceIndex:
    """`lancedb:///folder#name`, `lancedb+s3://bucket/path#name`."""

    def __init__(self, url: StoreUrl) -> None:
        """Opens the folder."""
        try:
            import lancedb
            import pyarrow
        except ImportError:
            raise DependencyError("lancedb", "pip install 'ragwheel[lancedb]'") from None
        self._pa = pyarrow
        self._name, self.display = url.fragment, str(url)
        _, found, cloud = url.scheme.partition("+")
        with self._answering():
            self._db = lancedb.connect(f"{cloud}://{url.where}" if found else url.where)

    def create(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._answering():
            if (stored := self._stored(build.physical)) is not None:
                check_stored(build, stored)
                return
            pa = self._pa
            fields = [
                pa.field("id", pa.string(), nullable=False),
                pa.field("vector", pa.list_(pa.float32(), build.dimension)),
                pa.field("chunk_hash", pa.string()),
                pa.field("text", pa.string()),
            ]
            if build.like:
                old = self._db.open_table(build.like).schema
                fields += [each for each in old if each.name not in _OWN]
                if "id" not in old.names:
                    raise IndexRefusedError(f"{build.like} has no column id to know a chunk by")
            about = {_FINGERPRINT: build.fingerprint.encode()}
            self._db.create_table(build.physical, schema=pa.schema(fields, metadata=about))

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """See `Index`."""
        check_space(build, points.vectors)
        with self._answering():
            check_stored(build, self._stored(build.physical))
            table = self._db.open_table(build.physical)
            if len(points.ids):
                rows = self._rows(table.schema, build, points)
                (
                    table.merge_insert("id")
                    .when_matched_update_all()
                    .when_not_matched_insert_all()
                    .execute(rows)
                )
            if gone:
                table.delete(f"id IN ({_quoted(gone)})")
        return {}

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Found:
        """See `Index`."""
        if queries is not None:
            check_space(build, queries)
        with self._answering():
            stored = self._stored(build.physical)
            check_stored(build, stored)
            table = self._db.open_table(build.physical)
            count = table.count_rows()
            if stored and count >= _INDEXED_ROWS and not table.list_indices():
                table.create_index(metric="cosine")
            hits = [
                table.search(query).distance_type("cosine").select(["id"]).limit(depth).to_arrow()
                for query in ([] if queries is None else queries.vectors)
            ]
        return Found(count, [[str(each) for each in hit["id"].to_pylist()] for hit in hits])

    def point(self, build: IndexBuild, before: str) -> None:
        """See `Index`; the commit of a one-row table."""
        with self._answering():
            now = self.serving()
            if now == build.physical:
                return
            check_move(self._name, now, before)
            check_stored(build, self._stored(build.physical))
            row = self._pa.table(
                {"physical": [build.physical], "document_fingerprint": [build.fingerprint]}
            )
            if self._pointer in _tables(self._db):
                self._db.open_table(self._pointer).add(row, mode="overwrite")
            else:
                self._db.create_table(self._pointer, row)

    def drop(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._answering():
            check_droppable(build, self.serving())
            if (stored := self._stored(build.physical)) is not None:
                check_stored(build, stored)
                self._db.drop_table(build.physical)

    def serving(self) -> str:
        """See `Index`."""
        with self._answering():
            tables = _tables(self._db)
            if self._pointer in tables:
                rows = self._db.open_table(self._pointer).to_arrow()
                return str(rows["physical"][0].as_py())
        return self._name if self._name in tables else ""

    def close(self) -> None:
        """See `Index`; nothing is held."""

    @property
    def _pointer(self) -> str:
        return f"{self._name}__serving"

    def _rows(self, schema: Any, build: IndexBuild, points: Points) -> Any:
        """A table of the build's schema; other columns come from the build that is replaced."""
        pa, ids = self._pa, list(points.ids)
        flat = pa.array(points.vectors.vectors.reshape(-1), pa.float32())
        own = {
            "id": pa.array(ids, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, points.vectors.vectors.shape[1]),
            "chunk_hash": pa.array(list(points.hashes), pa.string()),
            "text": pa.array(points.texts or [None] * len(ids), pa.string()),
        }
        taken = self._taken(schema, build, ids)
        if points.texts is None and "text" in taken:
            own["text"] = taken["text"]
        return pa.table([taken.get(n) if n not in own else own[n] for n in schema.names], schema)

    def _taken(self, schema: Any, build: IndexBuild, ids: list[str]) -> dict[str, Any]:
        if not build.like:
            return {}
        old = self._db.open_table(build.like)
        names = [n for n in schema.names if n in old.schema.names and n not in _OWN[:3]]
        found = (
            old.search().where(f"id IN ({_quoted(ids)})").select(["id", *names]).limit(len(ids))
        ).to_arrow()
        place = {each: row for row, each in enumerate(found["id"].to_pylist())}
        rows = self._pa.array([place.get(each) for each in ids], self._pa.int64())
        return {name: found[name].take(rows).cast(schema.field(name).type) for name in names}

    def _stored(self, physical: str) -> str | None:
        if physical not in _tables(self._db):
            return None
        metadata = self._db.open_table(physical).schema.metadata or {}
        return str(metadata.get(_FINGERPRINT, b"").decode())

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise UnavailableError(f"{self.display}: LanceDB says: {said}") from None


def _tables(db: Any) -> list[str]:
    names: list[str] = []
    token: str | None = None
    while True:
        page = db.list_tables(page_token=token)
        names += page.tables
        token = page.page_token
        if not token:
            return names


def _quoted(ids: Sequence[str]) -> str:
    return ", ".join("'" + each.replace("'", "''") + "'" for each in ids)
