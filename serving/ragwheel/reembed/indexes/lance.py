"""LanceDB: a table per build, and a pointer that readers follow (`serving_table`).

A table of LanceDB has one vector column of one width, so a build of another model is a table of its
own. The pointer is the table NAME__serving with one row, replaced as one commit, on any file system
or object store that LanceDB writes to. It is there before the first switch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from ragwheel.reembed.indexes.contracts import (
    Holding,
    IndexBuild,
    IndexRefusedError,
    Points,
    SpaceVectors,
    check_droppable,
    check_made,
    check_move,
    check_space,
    check_stored,
    not_in,
    source_of,
)
from ragwheel.schemas.errors import DependencyError, UnavailableError
from ragwheel.schemas.secrets import StoreUrl

_FINGERPRINT = b"ragwheel.document_fingerprint"
#: Rows from which a vector index is worth its training; below, every search is exact and fast.
_INDEXED_ROWS = 50_000


def serving_table(db: Any, name: str) -> Any:
    """The table to search under `name` in a LanceDB connection: what the pointer says."""
    return db.open_table(_led_to(db, name) or name)


class LanceIndex:
    """`lancedb:///folder#name`, `lancedb+s3://bucket/path#name`."""

    def __init__(self, url: StoreUrl) -> None:
        """Opens the folder."""
        try:
            import lancedb
            import pyarrow
            from lancedb import index as indexes
        except ImportError:
            raise DependencyError("lancedb", "pip install 'ragwheel[lancedb]'") from None
        self._pa, self._indexes = pyarrow, indexes
        self._name, self.display = url.fragment, str(url)
        _, found, cloud = url.scheme.partition("+")
        with self._answering():
            self._db: Any = lancedb.connect(f"{cloud}://{url.where}" if found else url.where)

    def create(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._answering():
            if (stored := self._stored(build.physical)) is not None:
                check_made(build, stored)
                return
            self._point_from_the_start()
            about = {_FINGERPRINT: build.fingerprint.encode()}
            schema = self._pa.schema(self._columns(build), metadata=about)
            self._db.create_table(build.physical, schema=schema)

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """See `Index`."""
        check_space(build, points.vectors)
        with self._answering():
            check_stored(build, self._stored(build.physical))
            table = self._db.open_table(build.physical)
            refused: dict[str, str] = {}
            if points.ids:
                rows, refused = self._rows(table.schema, build, points)
                (
                    table.merge_insert("id")
                    .when_matched_update_all()
                    .when_not_matched_insert_all()
                    .execute(rows)
                )
            if gone:
                table.delete(_among(table.schema, gone))
        return refused

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Holding:
        """See `Index`."""
        if queries is not None:
            check_space(build, queries)
        with self._answering():
            stored = self._stored(build.physical)
            check_stored(build, stored)
            table = self._db.open_table(build.physical)
            vector = _vector(table.schema, build.physical)
            count = table.count_rows()
            if stored:
                self._index(table, build, vector.name, count)
            hits = [
                table.search(query, vector_column_name=vector.name)
                .distance_type("cosine").select(["id", "_distance"]).limit(depth).to_arrow()
                for query in ([] if queries is None else queries.vectors)
            ]  # fmt: skip
        return Holding(count, [[str(each) for each in hit["id"].to_pylist()] for hit in hits])

    def point(self, build: IndexBuild, before: str) -> None:
        """See `Index`; the commit of a one-row table."""
        with self._answering():
            now = self.serving()
            if now == build.physical:
                return
            check_move(self._name, now, before)
            check_stored(build, self._stored(build.physical))
            self._point_from_the_start()
            self._db.open_table(self._pointer).add(self._pointing(build.physical), mode="overwrite")

    def drop(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._answering():
            check_droppable(build, self.serving())
            if (stored := self._stored(build.physical)) is not None:
                check_stored(build, stored)
            self._db.drop_table(build.physical, ignore_missing=True)

    def serving(self) -> str:
        """See `Index`."""
        with self._answering():
            led = _led_to(self._db, self._name)
            return led or ("" if _opened(self._db, self._name) is None else self._name)

    def close(self) -> None:
        """See `Index`; nothing is held."""

    @property
    def _pointer(self) -> str:
        return _pointer(self._name)

    def _point_from_the_start(self) -> None:
        """Make the pointer lead to where searches go without one.

        Its first commit then changes nothing for those who search meanwhile; each later one is a
        new version of a table that is there.
        """
        if _opened(self._db, self._pointer) is None:
            self._db.create_table(self._pointer, self._pointing(self.serving()))

    def _pointing(self, physical: str) -> Any:
        return self._pa.table({"physical": [physical]})

    def _columns(self, build: IndexBuild) -> list[Any]:
        """The columns of a build: those of the one that is replaced, but for the vector's width."""
        pa = self._pa
        if not build.like:
            return [
                pa.field("id", pa.string(), nullable=False),
                pa.field("vector", pa.list_(pa.float32(), build.dimension)),
                pa.field("chunk_hash", pa.string()),
                pa.field("text", pa.string()),
            ]
        schema = self._db.open_table(build.like).schema
        vector = _vector(schema, build.like)
        if "id" not in schema.names:
            raise IndexRefusedError(f"{build.like} has no column id to know a chunk by")
        wide = vector.with_type(pa.list_(vector.type.value_type, build.dimension))
        return [wide if each.name == vector.name else each for each in schema]

    def _index(self, table: Any, build: IndexBuild, vector: str, count: int) -> None:
        """What searches of the replaced build have, those of columns and of vectors."""
        has = {each.name for each in table.list_indices()}
        old = _opened(self._db, build.like) if build.like else None
        for each in () if old is None else old.list_indices():
            if each.name not in has and each.columns != [vector]:
                table.create_index(each.columns[0], config=self._config(each), name=each.name)
        if count >= _INDEXED_ROWS and f"{vector}_idx" not in has:
            table.create_index(vector, config=self._indexes.IvfPq(distance_type="cosine"))
        table.optimize()  # puts rows that came since into the indexes

    def _config(self, index: Any) -> Any:
        """How to make an index like this one of a column."""
        kind = getattr(self._indexes, index.index_type)
        said = getattr(index, "index_details", {})
        known = {each.name for each in fields(kind)}
        return kind(**{name: value for name, value in said.items() if name in known})

    def _rows(self, schema: Any, build: IndexBuild, points: Points) -> tuple[Any, dict[str, str]]:
        """A table of the build's schema, and what is refused."""
        pa, vector = self._pa, _vector(schema, build.physical)
        own: dict[str, Any] = {
            "id": pa.array(list(points.ids), pa.string()).cast(schema.field("id").type),
            vector.name: pa.FixedSizeListArray.from_arrays(
                pa.array(points.vectors.vectors.reshape(-1), pa.float32()).cast(
                    vector.type.value_type
                ),
                vector.type.list_size,
            ),
        }
        for name, values in (("chunk_hash", points.hashes), ("text", points.texts)):
            if name in schema.names and pa.types.is_string(schema.field(name).type) and values:
                own[name] = pa.array(list(values), pa.string())
        others = [name for name in schema.names if name not in own]
        if not others:
            return pa.table([own[name] for name in schema.names], schema), {}
        source = source_of(build, self.serving())
        old = self._db.open_table(source)
        found = (
            old.search().where(_among(old.schema, points.ids)).select(["id", *others])
            .limit(len(points.ids)).to_arrow()
        )  # fmt: skip
        place = {str(each): row for row, each in enumerate(found["id"].to_pylist())}
        kept = [row for row, each in enumerate(points.ids) if each in place or not build.like]
        there = pa.array([place.get(points.ids[row]) for row in kept], pa.int64())
        columns = [
            own[name].take(pa.array(kept, pa.int64())) if name in own
            else found[name].take(there).cast(schema.field(name).type)
            for name in schema.names
        ]  # fmt: skip
        refused = {each: not_in(source) for each in set(points.ids) - place.keys() if build.like}
        return pa.table(columns, schema), refused

    def _stored(self, physical: str) -> str | None:
        if (table := _opened(self._db, physical)) is None:
            return None
        return str((table.schema.metadata or {}).get(_FINGERPRINT, b"").decode())

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise UnavailableError(f"{self.display}: LanceDB says: {said}") from None
        except ValueError as error:
            raise IndexRefusedError(f"{self.display}: {str(error)[:200]}") from None


def _opened(db: Any, name: str) -> Any:
    """A table; None: it is not there, or its making was ended before its first commit."""
    try:
        return db.open_table(name)
    except ValueError as error:
        if "not found" not in str(error):
            raise
        return None


def _pointer(name: str) -> str:
    return f"{name}__serving"


def _led_to(db: Any, name: str) -> str:
    """What the pointer says; empty: nothing, or there is none."""
    pointer = _opened(db, _pointer(name))
    return "" if pointer is None else str(pointer.to_arrow()["physical"][0].as_py())


def _vector(schema: Any, table: str) -> Any:
    """The one column of vectors."""
    found = [each for each in schema if hasattr(each.type, "list_size")]
    if len(found) != 1:
        raise IndexRefusedError(
            f"{table} has {len(found)} columns of vectors: one is needed, of one model"
        )
    return found[0]


def _among(schema: Any, ids: Sequence[str]) -> str:
    """A condition on the column id, which may hold numbers."""
    if str(schema.field("id").type).startswith(("int", "uint")):
        return f"id IN ({', '.join(str(int(each)) for each in ids)})"
    quoted = ", ".join("'" + each.replace("'", "''") + "'" for each in ids)
    return f"id IN ({quoted})"
