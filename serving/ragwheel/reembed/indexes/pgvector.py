"""PostgreSQL with pgvector: a table per build, and a view under the name that services search.

A plain table of that name is taken over: at the first switch it is renamed to NAME__origin and a
view takes its place, in one transaction. The view can be written to, so a service that inserts goes
on inserting. The switch waits for no more than a moment for running searches and is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ragwheel.models.encoder import Vectors
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

_MADE, _SERVES = "ragwheel vectors of ", "ragwheel serves "
#: pgvector indexes no longer `vector` by HNSW.
_MAX_INDEXED = 2_000
_LOCK_TIMEOUT, _LOCK_TRIES = "500ms", 20
_ORIGIN = "__origin"


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a build.

    Attributes:
        kind: SQL type of the id.
        others: what else is written.
        required: some of them must have a value.
    """

    id: str
    kind: str
    vector: str
    others: Sequence[str]
    required: bool


class PgvectorIndex:
    """`postgresql://…#name`."""

    def __init__(self, url: StoreUrl) -> None:
        """Connects.

        Raises:
            UnavailableError: it does not answer, or refuses us.
            IndexRefusedError: the database has no pgvector.
        """
        try:
            import psycopg
            from psycopg import sql
        except ImportError:
            raise DependencyError("psycopg", "pip install 'ragwheel[pgvector]'") from None
        self._pg, self._sql = psycopg, sql
        self._name, self.display = url.fragment, str(url)
        with self._answering():
            self._db = psycopg.connect(url.without_fragment(), autocommit=True, connect_timeout=10)
        if self._one("SELECT to_regtype('vector')") is None:
            self.close()
            raise IndexRefusedError(f"{url} has no pgvector: CREATE EXTENSION vector")

    def create(self, build: IndexBuild) -> None:
        """See `Index`."""
        if build.dimension > _MAX_INDEXED:
            raise IndexRefusedError(
                f"{build.dimension} dimensions: pgvector's HNSW holds {_MAX_INDEXED}; choose a "
                "smaller model or another store"
            )
        with self._transaction():
            if (stored := self._stored(build.physical)) is not None:
                check_stored(build, stored)
                return
            new, kind = self._sql.Identifier(build.physical), f"vector({build.dimension})"
            if build.like:
                old = self._columns(self._actual(build.like))
                self._run(
                    "CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING "
                    "GENERATED INCLUDING IDENTITY INCLUDING STORAGE)",
                    new, self._sql.Identifier(self._actual(build.like)),
                )  # fmt: skip
                vector = self._sql.Identifier(old.vector)
                self._run(
                    "ALTER TABLE {} ALTER COLUMN {} TYPE {}, ADD PRIMARY KEY ({})",
                    new, vector, self._sql.SQL(kind), self._sql.Identifier(old.id),
                )  # fmt: skip
            else:
                self._run(
                    "CREATE TABLE {} (id text PRIMARY KEY, embedding {} NOT NULL, "
                    "chunk_hash text, text text)",
                    new, self._sql.SQL(kind),
                )  # fmt: skip
            self._comment("TABLE", build.physical, _MADE + build.fingerprint)

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """See `Index`."""
        check_space(build, points.vectors)
        with self._transaction():
            check_stored(build, self._stored(build.physical))
            columns = self._columns(build.physical)
            refused = {}
            if build.like and columns.required:
                refused = dict.fromkeys(
                    self._absent(build.like, columns, points.ids),
                    f"no row in {self._actual(build.like)} whose other columns it could take over",
                )
            self._put(build, columns, points, refused)
            if gone:
                self._run(
                    "DELETE FROM {} WHERE {} = ANY(%s::text[]::{}[])",
                    *map(self._sql.Identifier, (build.physical, columns.id)),
                    self._sql.SQL(columns.kind), values=[list(gone)],
                )  # fmt: skip
        return refused

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Found:
        """See `Index`; builds the HNSW index beside whoever searches and writes."""
        if queries is not None:
            check_space(build, queries)
        stored = self._stored(build.physical)
        check_stored(build, stored)
        table = self._actual(build.physical)
        columns = self._columns(table)
        if stored:
            self._index_concurrently(table, columns.vector)
        name, key, vector = map(self._sql.Identifier, (table, columns.id, columns.vector))
        count = self._run("SELECT count(*) FROM {}", name).fetchone()[0]
        hits = [
            [
                str(row[0])
                for row in self._run(
                    "SELECT {} FROM {} ORDER BY {} <=> %s::vector LIMIT %s",
                    key, name, vector, values=[_literal(query), depth],
                )
            ]
            for query in ([] if queries is None else queries.vectors)
        ]  # fmt: skip
        return Found(int(count), hits)

    def point(self, build: IndexBuild, before: str) -> None:
        """See `Index`."""
        for left in reversed(range(_LOCK_TRIES)):
            try:
                with self._transaction():
                    self._switch(build, before)
                return
            except self._pg.errors.LockNotAvailable:
                if not left:
                    raise UnavailableError(
                        f"{self._name} is locked by a long query or transaction: end it, then try "
                        "again; nothing was changed"
                    ) from None

    def drop(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._transaction():
            check_droppable(build, self.serving())
            if (stored := self._stored(build.physical)) is not None:
                check_stored(build, stored)
                self._run("DROP TABLE {}", self._sql.Identifier(build.physical))

    def serving(self) -> str:
        """See `Index`; of a plain table, the name that it will have behind the view."""
        kind, comment = self._relation(self._name)
        if kind == "v":
            if not comment.startswith(_SERVES):
                raise IndexRefusedError(
                    f"{self._name} is a view that ragwheel did not make: name the table behind it"
                )
            return comment.removeprefix(_SERVES)
        return self._name + _ORIGIN if kind else ""

    def close(self) -> None:
        """See `Index`."""
        self._db.close()

    def _switch(self, build: IndexBuild, before: str) -> None:
        self._run(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        now = self.serving()
        if now == build.physical:
            return
        check_move(self._name, now, before)
        check_stored(build, self._stored(build.physical))
        grants = self._grants()
        alias, target = self._sql.Identifier(self._name), self._sql.Identifier(build.physical)
        if now == self._name + _ORIGIN and self._relation(self._name)[0] != "v":
            self._run("ALTER TABLE {} RENAME TO {}", alias, self._sql.Identifier(now))
        elif now:
            self._run("DROP VIEW {}", alias)
        self._run("CREATE VIEW {} AS SELECT * FROM {}", alias, target)
        self._comment("VIEW", self._name, _SERVES + build.physical)
        for grantee, privilege in grants:
            who = self._sql.Identifier(grantee) if grantee else self._sql.SQL("PUBLIC")
            self._run(f"GRANT {privilege} ON {{}} TO {{}}", alias, who)

    def _grants(self) -> list[tuple[str, str]]:
        """(role, privilege) on the name, its owner's left out; no role: everybody."""
        rows = self._db.execute(
            "SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, "
            "a.privilege_type FROM pg_class c, aclexplode(c.relacl) a "
            "WHERE c.oid = to_regclass(quote_ident(%s)) AND a.grantee <> c.relowner "
            "AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')",
            [self._name],
        )
        return [(role, privilege) for role, privilege in rows]

    def _put(
        self, build: IndexBuild, columns: _Columns, points: Points, refused: Mapping[str, str]
    ) -> None:
        """Insert by one statement; other columns come from the build that is replaced."""
        own = {"chunk_hash": points.hashes, "text": points.texts}
        given = {name: own[name] for name in own if name in columns.others and not build.like}
        arrays: list[Sequence[str | None]] = [
            points.ids, [_literal(each) for each in points.vectors.vectors],
            *(values or [None] * len(points.ids) for values in given.values()),
        ]  # fmt: skip
        kept = [row for row, each in enumerate(points.ids) if each not in refused]
        arrays = [[values[row] for row in kept] for values in arrays]
        ident, plain = self._sql.Identifier, self._sql.SQL
        taken = columns.others if build.like else tuple(given)
        source = "old" if build.like else "given"
        written = plain(", ").join(ident(name) for name in (columns.id, columns.vector, *taken))
        join = (
            plain("LEFT JOIN {} AS old ON old.{} = given.key::{}").format(
                ident(self._actual(build.like)), ident(columns.id), plain(columns.kind)
            )
            if build.like
            else plain("")
        )
        updates = plain(", ").join(
            plain("{0} = EXCLUDED.{0}").format(ident(name)) for name in (columns.vector, *taken)
        )
        self._run(
            "INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS given({}) {} "
            "ON CONFLICT ({}) DO UPDATE SET {}",
            ident(build.physical), written,
            plain(", ").join(
                [
                    plain("given.key::{}").format(plain(columns.kind)),
                    plain("given.vector::vector"),
                    *(ident(source, name) for name in taken),
                ]
            ),
            plain(", ").join([plain("%s::text[]")] * len(arrays)),
            plain(", ").join(ident(name) for name in ("key", "vector", *given)),
            join, ident(columns.id), updates, values=arrays,
        )  # fmt: skip

    def _absent(self, like: str, columns: _Columns, ids: Sequence[str]) -> list[str]:
        rows = self._run(
            "SELECT given.key FROM unnest(%s::text[]) AS given(key) LEFT JOIN {} AS old "
            "ON old.{} = given.key::{} WHERE old.{} IS NULL",
            self._sql.Identifier(self._actual(like)), self._sql.Identifier(columns.id),
            self._sql.SQL(columns.kind), self._sql.Identifier(columns.id), values=[list(ids)],
        )  # fmt: skip
        return [row[0] for row in rows]

    def _columns(self, table: str) -> _Columns:
        rows = self._db.execute(_COLUMNS, [table]).fetchall()
        ids = [row for row in rows if row[2]]
        vectors = [row[0] for row in rows if row[1].startswith("vector")]
        if len(ids) != 1 or len(vectors) != 1:
            raise IndexRefusedError(
                f"{table} has {len(ids)} columns of a primary key and {len(vectors)} of type "
                "vector: one of each is needed"
            )
        others = [row for row in rows if row[0] not in (ids[0][0], vectors[0]) and not row[4]]
        return _Columns(
            ids[0][0], ids[0][1], vectors[0], [row[0] for row in others],
            any(row[3] for row in others),
        )  # fmt: skip

    def _index_concurrently(self, table: str, vector: str) -> None:
        index = f"{table[:55]}_hnsw"
        valid = self._one(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))",
            index,
        )
        if valid is False:  # a build of it was ended
            self._run("DROP INDEX CONCURRENTLY {}", self._sql.Identifier(index))
        if not valid:
            self._run(
                "CREATE INDEX CONCURRENTLY {} ON {} USING hnsw ({} vector_cosine_ops)",
                *map(self._sql.Identifier, (index, table, vector)),
            )

    def _actual(self, physical: str) -> str:
        """What a build is called now: before the first switch NAME__origin is the plain NAME."""
        waits = physical == self._name + _ORIGIN and not self._relation(physical)[0]
        return self._name if waits else physical

    def _stored(self, physical: str) -> str | None:
        kind, comment = self._relation(self._actual(physical))
        if kind not in ("r", "p"):
            return None
        return comment.removeprefix(_MADE) if comment.startswith(_MADE) else ""

    def _relation(self, name: str) -> tuple[str, str]:
        """Kind (r, v …) and comment; kind is empty where there is none."""
        row = self._db.execute(
            "SELECT relkind::text, coalesce(obj_description(oid, 'pg_class'), '') FROM pg_class "
            "WHERE oid = to_regclass(quote_ident(%s))",
            [name],
        ).fetchone()
        return (row[0], row[1]) if row else ("", "")

    def _comment(self, kind: str, name: str, text: str) -> None:
        self._run(
            f"COMMENT ON {kind} {{}} IS {{}}", self._sql.Identifier(name), self._sql.Literal(text)
        )

    def _one(self, statement: str, *values: Any) -> Any:
        with self._answering():
            row = self._db.execute(statement, values).fetchone()
        return row[0] if row else None

    def _run(self, statement: str, *names: Any, values: Sequence[Any] = ()) -> Any:
        """Run our statement, in which names and types are put as psycopg quotes them."""
        with self._answering():
            return self._db.execute(self._sql.SQL(statement).format(*names), values or None)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._answering(), self._db.transaction():
            yield

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except self._pg.errors.LockNotAvailable:
            raise
        except self._pg.OperationalError as error:
            raise UnavailableError(_said(self.display, error)) from None
        except self._pg.Error as error:
            raise IndexRefusedError(_said(self.display, error)) from None


def _said(display: str, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return f"{display}: PostgreSQL says: {first}"


def _literal(vector: Vectors) -> str:
    return str(vector.tolist()).replace(" ", "")


_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
    coalesce(a.attnum = ANY(i.indkey), false),
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '',
    a.attgenerated <> '' OR a.attidentity = 'a'
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(quote_ident(%s)) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
