"""PostgreSQL with pgvector: a table per build, and a view under the name that services search.

A plain table of that name is taken over: at the first switch it is renamed to NAME__origin and a
view takes its place, in one transaction. The view can be written to, so a service that inserts goes
on inserting. The switch waits for no more than a moment for running searches and is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from ragwheel.models.encoder import Vectors
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

try:
    from psycopg import sql

    from ragwheel.reembed.indexes.postgres import LockedError, PostgresSession, TableColumns
except ImportError:
    raise DependencyError("psycopg", "pip install 'ragwheel[pgvector]'") from None

_MADE, _SERVES, _ORIGIN = "ragwheel vectors of ", "ragwheel serves ", "__origin"
#: What pgvector's HNSW indexes at most, by type.
_MAX_INDEXED = {"vector": 2_000, "halfvec": 4_000}
#: While a switch waits for its lock, searches wait behind it; between two tries they go through.
_LOCK_TIMEOUT, _LOCK_PAUSE_S, _LOCK_TRIES = "200ms", 0.5, 20
#: By metric.
_OPERATORS = {"cosine": "<=>", "l2": "<->", "ip": "<#>"}


class PgvectorIndex:
    """`postgresql://…#name`."""

    def __init__(self, url: StoreUrl) -> None:
        """Connects.

        Raises:
            UnavailableError: it does not answer, or refuses us.
            IndexRefusedError: the database has no pgvector.
        """
        self._name, self.display = url.fragment, str(url)
        self._db = PostgresSession(url)
        if self._db.rows("SELECT to_regtype('vector')")[0][0] is None:
            self.close()
            raise IndexRefusedError(f"{url} has no pgvector: CREATE EXTENSION vector")

    def create(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._db.transaction():
            if (stored := self._stored(build.physical)) is not None:
                check_made(build, stored)
                return
            if build.like:
                self._create_like(build, self._actual(build.like))
            else:
                self._check_width("vector", build.dimension)
                self._db.run(
                    "CREATE TABLE {} (id text PRIMARY KEY, embedding {} NOT NULL, "
                    "chunk_hash text, text text)",
                    build.physical, sql.SQL(f"vector({build.dimension})"),
                )  # fmt: skip
            self._db.comment("TABLE", build.physical, _MADE + build.fingerprint)

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """See `Index`."""
        check_space(build, points.vectors)
        with self._db.transaction():
            # The rows to take over are looked for and copied by two statements, of one moment.
            self._db.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            check_stored(build, self._stored(build.physical))
            columns = self._db.columns(self._actual(build.physical))
            refused = self._put(build, columns, points)
            self._db.run(
                "DELETE FROM {} WHERE {} = ANY(%s::text[]::{}[])",
                self._actual(build.physical), columns.key, sql.SQL(columns.key_type),
                values=[list(gone)],
            )  # fmt: skip
        return refused

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Holding:
        """See `Index`; builds the HNSW index beside whoever searches and writes."""
        if queries is not None:
            check_space(build, queries)
        stored = self._stored(build.physical)
        check_stored(build, stored)
        table = self._actual(build.physical)
        columns = self._db.columns(table)
        like = self._actual(build.like) if build.like else table
        metric = self._db.metric(table) or self._db.metric(like) or "cosine"
        if stored:
            self._index_concurrently(table, columns, metric)
            self._db.run("ANALYZE {}", table)
        count = self._db.rows("SELECT count(*) FROM {}", table)[0][0]
        hits = []
        with self._db.transaction():
            # Otherwise HNSW finds 40 at most, however many are asked for.
            self._db.run(f"SET LOCAL hnsw.ef_search = {min(max(depth, 40), 1_000)}")
            for query in () if queries is None else queries.vectors:
                rows = self._db.rows(
                    "SELECT {} FROM {} ORDER BY {} {} %s::{} LIMIT %s",
                    columns.key, table, columns.vector, sql.SQL(_OPERATORS[metric]),
                    sql.SQL(columns.vector_type), values=[_literal(query), depth],
                )  # fmt: skip
                hits.append([str(row[0]) for row in rows])
        return Holding(int(count), hits)

    def point(self, build: IndexBuild, before: str) -> None:
        """See `Index`."""
        for _ in range(_LOCK_TRIES):
            try:
                with self._db.transaction():
                    self._db.run(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                    self._switch(build, before)
                return
            except LockedError:
                time.sleep(_LOCK_PAUSE_S)
        raise UnavailableError(
            f"{self._name} is locked by a long query or transaction: end it, then try again"
        )

    def drop(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._db.transaction():
            check_droppable(build, self.serving())
            if (stored := self._stored(build.physical)) is not None:
                check_stored(build, stored)
                # A sequence that numbers rows of a build that was made like this one stays.
                for sequence in self._db.shared_sequences(build.physical):
                    self._db.run("ALTER SEQUENCE {} OWNED BY NONE", sql.SQL(sequence))
                self._db.run("DROP TABLE {}", build.physical)

    def serving(self) -> str:
        """See `Index`; of a plain table, the name that it will have behind the view."""
        kind, comment, _ = self._db.relation(self._name)
        if kind == "v" and not comment.startswith(_SERVES):
            raise IndexRefusedError(
                f"{self._name} is a view that ragwheel did not make: name the table behind it"
            )
        if kind == "v":
            return comment.removeprefix(_SERVES)
        return self._name + _ORIGIN if kind else ""

    def close(self) -> None:
        """See `Index`."""
        self._db.close()

    def _create_like(self, build: IndexBuild, old: str) -> None:
        """An empty table with everything but the width of the vector as `old` has it."""
        self._check_free(old)
        new, columns = build.physical, self._db.columns(old)
        self._check_width(columns.vector_type, build.dimension)
        self._db.run("CREATE TABLE {} (LIKE {} INCLUDING ALL)", new, old)
        for index in self._db.indexes_on(new, columns.vector):
            self._db.run("DROP INDEX {}", sql.SQL(index))
        self._db.run(
            "ALTER TABLE {} ALTER COLUMN {} TYPE {}",
            new, columns.vector, sql.SQL(f"{columns.vector_type}({build.dimension})"),
        )  # fmt: skip
        for definition in self._db.foreign_keys(old):
            self._db.run("ALTER TABLE {} ADD {}", new, sql.SQL(definition))
        self._db.run("ALTER TABLE {} OWNER TO {}", new, self._db.relation(old)[2])

    def _check_free(self, table: str) -> None:
        if bound := self._db.bound_to(table, self._name):
            raise IndexRefusedError(
                f"{table} has what stays with it when the name moves on: {', '.join(bound)}; let "
                f"it go, or refer to a table without vectors, before {self._name} is re-embedded"
            )

    def _check_width(self, kind: str, dimension: int) -> None:
        if dimension > _MAX_INDEXED[kind]:
            raise IndexRefusedError(
                f"{dimension} dimensions: pgvector's HNSW holds {_MAX_INDEXED[kind]} of type "
                f"{kind}; choose a smaller model, a halfvec column, or another store"
            )

    def _put(self, build: IndexBuild, columns: TableColumns, points: Points) -> dict[str, str]:
        """Insert by one statement; other columns come from the build that is searched."""
        own = {"chunk_hash": points.hashes, "text": points.texts}
        given = {name: own[name] for name in own if own[name] and name in columns.texts}
        taken = [name for name in columns.others if name not in given]
        old = self._actual(source_of(build, self.serving()))
        key, kind = columns.key, sql.SQL(columns.key_type)
        refused: dict[str, str] = {}
        if build.like and taken:
            rows = self._db.rows(
                "SELECT given.key FROM unnest(%s::text[]) AS given(key) WHERE NOT EXISTS "
                "(SELECT FROM {} AS old WHERE old.{} = given.key::{})",
                old, key, kind, values=[list(points.ids)],
            )  # fmt: skip
            refused = {row[0]: not_in(old) for row in rows}
        kept = [row for row, each in enumerate(points.ids) if each not in refused]
        arrays = [
            [points.ids[row] for row in kept],
            [_literal(points.vectors.vectors[row]) for row in kept],
            *([values[row] for row in kept] for values in given.values() if values),
        ]
        written = [columns.vector, *given, *taken]
        updates = [name for name in written if name not in columns.fixed]
        join = sql.SQL("LEFT JOIN {} AS old ON old.{} = given.key::{}").format(
            sql.Identifier(old), sql.Identifier(key), kind
        )
        self._db.run(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM unnest({}) AS given({}) {} "
            "ON CONFLICT ({}) DO UPDATE SET {}",
            self._actual(build.physical), _listed(key, *written),
            sql.SQL(", ").join(
                [
                    sql.SQL("given.key::{}").format(kind),
                    sql.SQL("given.vector::{}").format(sql.SQL(columns.vector_type)),
                    *(sql.Identifier("given", name) for name in given),
                    *(sql.Identifier("old", name) for name in taken),
                ]
            ),
            sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(arrays)),
            _listed("key", "vector", *given), join if taken else sql.SQL(""), key,
            sql.SQL(", ").join(
                sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in updates
            ),
            values=arrays,
        )  # fmt: skip
        return refused

    def _switch(self, build: IndexBuild, before: str) -> None:
        # One at a time: who waited for the view's lock alone would drop the newer view.
        self._db.run("SELECT pg_advisory_xact_lock(hashtext(%s))", values=[_SERVES + self._name])
        now = self.serving()
        if now == build.physical:
            return
        check_move(self._name, now, before)
        check_stored(build, self._stored(build.physical))
        owner, grants = self._db.relation(self._name)[2], self._db.grants(self._name)
        had = self._db.triggers(self._actual(now)) if now else set()
        if lacking := had - self._db.triggers(build.physical):
            raise IndexRefusedError(
                f"{build.physical} lacks triggers of {self._actual(now)}: "
                f"{', '.join(sorted(lacking))}; create them there as well, or drop them here"
            )
        if self._actual(now) == self._name:
            self._check_free(self._name)
            self._db.run("ALTER TABLE {} RENAME TO {}", self._name, now)
        elif now:
            self._db.run("DROP VIEW {}", self._name)
        self._db.run("CREATE VIEW {} AS SELECT * FROM {}", self._name, build.physical)
        self._db.comment("VIEW", self._name, _SERVES + build.physical)
        if owner:
            self._db.run("ALTER VIEW {} OWNER TO {}", self._name, owner)
        for role, privilege in grants:
            who = sql.Identifier(role) if role else sql.SQL("PUBLIC")
            self._db.run(f"GRANT {privilege} ON {{}} TO {{}}", self._name, who)
        if now:
            self._db.go_on_numbering(build.physical, now)

    def _index_concurrently(self, table: str, columns: TableColumns, metric: str) -> None:
        found = self._db.indexes_on(table, columns.vector)
        if found - self._db.ended_indexes(table):
            return
        for index in found:  # their building was ended
            self._db.run("DROP INDEX CONCURRENTLY {}", sql.SQL(index))
        self._db.run(
            "CREATE INDEX CONCURRENTLY ON {} USING hnsw ({} {})",
            table, columns.vector, f"{columns.vector_type}_{metric}_ops",
        )  # fmt: skip

    def _actual(self, physical: str) -> str:
        """What a build is called now: before the first switch NAME__origin is the plain NAME."""
        waits = physical == self._name + _ORIGIN and not self._db.relation(physical)[0]
        return self._name if waits else physical

    def _stored(self, physical: str) -> str | None:
        kind, comment, _ = self._db.relation(self._actual(physical))
        if kind not in ("r", "p"):
            return None
        return comment.removeprefix(_MADE) if comment.startswith(_MADE) else ""


def _literal(vector: Vectors) -> str:
    return str(vector.tolist())


def _listed(*names: str) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
