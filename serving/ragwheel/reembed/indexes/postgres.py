"""A PostgreSQL session and what its catalogs say of a table, for `pgvector`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ragwheel.reembed.indexes.contracts import IndexRefusedError
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.secrets import StoreUrl

_CONNECT_S = 10


class LockedError(UnavailableError):
    """Somebody else holds the lock."""


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The columns of a build.

    Attributes:
        key_type: SQL type of the id.
        vector_type: `vector` or `halfvec`.
        others: what else is written.
        texts: those of them that hold text.
        fixed: those of them that no update may touch.
        identities: columns that number themselves, each by a sequence of its table.
    """

    key: str
    key_type: str
    vector: str
    vector_type: str
    others: Sequence[str]
    texts: Sequence[str]
    fixed: Sequence[str]
    identities: Sequence[str]


class PostgresSession:
    """One connection. Statements are ours; names and values are put in as psycopg quotes them."""

    def __init__(self, url: StoreUrl) -> None:
        """Connects.

        Raises:
            UnavailableError: it does not answer, or refuses us.
            IndexRefusedError: the URL cannot be read.
        """
        self._url = url
        user, password = url.credentials()
        with self.answering():
            # Credentials go beside the URL: libpq quotes what it cannot read of one.
            self._db = psycopg.connect(
                f"postgresql://{url.where}{url.options}", user=user or None,
                password=password or None, autocommit=True, connect_timeout=_CONNECT_S,
            )  # fmt: skip

    def run(self, statement: str, *names: str | sql.Composable, values: Sequence[Any] = ()) -> Any:
        """Run a statement: each `{}` is one of `names`, plain ones quoted as identifiers."""
        parts = [sql.Identifier(each) if isinstance(each, str) else each for each in names]
        with self.answering():
            return self._db.execute(sql.SQL(statement).format(*parts), values or None)

    def rows(self, statement: str, *names: str | sql.Composable, values: Sequence[Any] = ()) -> Any:
        """All rows of a statement, as `run` takes it."""
        return self.run(statement, *names, values=values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        with self.answering(), self._db.transaction():
            yield

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn the driver's errors into ours.

        Raises:
            LockedError: a lock could not be had in time.
            UnavailableError: another try may help.
            IndexRefusedError: it may not.
        """
        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            raise LockedError(self._said(error)) from None
        except (psycopg.OperationalError, psycopg.errors.ForeignKeyViolation) as error:
            # A row that ours refers to went away between reading and writing.
            raise UnavailableError(self._said(error)) from None
        except psycopg.Error as error:
            raise IndexRefusedError(self._said(error)) from None

    def close(self) -> None:
        """Disconnect."""
        self._db.close()

    def relation(self, name: str) -> tuple[str, str, str]:
        """Kind (r, v …), comment and owner of a name on the search path; kind empty: none."""
        found = self.rows(
            "SELECT relkind::text, coalesce(obj_description(oid, 'pg_class'), ''), "
            "pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(quote_ident(%s))",
            values=[name],
        )
        return (found[0][0], found[0][1], found[0][2]) if found else ("", "", "")

    def comment(self, kind: str, name: str, text: str) -> None:
        """Say something of a TABLE or VIEW, for `relation` to find."""
        self.run(f"COMMENT ON {kind} {{}} IS {{}}", name, sql.Literal(text))

    def columns(self, table: str) -> TableColumns:
        """What `table` has.

        Raises:
            IndexRefusedError: not one column of a primary key and one of vectors.
        """
        found = self.rows(_COLUMNS, values=[table])
        keys = [row for row in found if row[2]]
        vectors = [row for row in found if row[1].split("(")[0] in ("vector", "halfvec")]
        if len(keys) != 1 or len(vectors) != 1:
            raise IndexRefusedError(
                f"{table} has {len(keys)} columns of a primary key and {len(vectors)} of type "
                "vector or halfvec: one of each is needed"
            )
        key, vector = keys[0], vectors[0]
        others = [row for row in found if row not in (key, vector) and not row[3]]
        return TableColumns(
            key[0], key[1], vector[0], vector[1].split("(")[0], [row[0] for row in others],
            [row[0] for row in others if row[1] in ("text", "character varying")],
            [row[0] for row in others if row[4] == "a"], [row[0] for row in found if row[4]],
        )  # fmt: skip

    def grants(self, name: str) -> list[tuple[str, str]]:
        """(role, privilege) on a name, its owner's left out; no role: everybody."""
        found = self.rows(
            "SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, "
            "a.privilege_type FROM pg_class c, aclexplode(c.relacl) a "
            "WHERE c.oid = to_regclass(quote_ident(%s)) AND a.grantee <> c.relowner "
            "AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')",
            values=[name],
        )
        return [(role, privilege) for role, privilege in found]

    def triggers(self, table: str) -> set[str]:
        """Names of the triggers that somebody made."""
        found = self.rows(
            "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal "
            "AND tgrelid = to_regclass(quote_ident(%s))",
            values=[table],
        )
        return {row[0] for row in found}

    def bound_to(self, table: str, view: str) -> list[str]:
        """What but `view` holds on to this very table, and would stay with it."""
        return [row[0] for row in self.rows(_BOUND, values=[table, table, table, view])]

    def indexes_on(self, table: str, column: str) -> set[str]:
        """Indexes that hold a column, or an expression of it; names quoted as SQL wants them."""
        return {row[0] for row in self.rows(_INDEXES_ON, values=[table, column])}

    def ended_indexes(self, table: str) -> set[str]:
        """Those whose building was ended before it was done, quoted."""
        found = self.rows(
            "SELECT indexrelid::regclass::text FROM pg_index "
            "WHERE NOT indisvalid AND indrelid = to_regclass(quote_ident(%s))",
            values=[table],
        )
        return {row[0] for row in found}

    def foreign_keys(self, table: str) -> list[str]:
        """What a table says of rows elsewhere, as SQL to say it of another."""
        return [row[0] for row in self.rows(_FOREIGN_KEYS, values=[table])]

    def metric(self, table: str) -> str:
        """By which the vectors of a table are indexed: cosine, l2 or ip; empty: they are not."""
        found = [row[0].split("_")[1] for row in self.rows(_CLASSES, values=[table])]
        return next((each for each in found if each in ("cosine", "l2", "ip")), "")

    def shared_sequences(self, table: str) -> list[str]:
        """Sequences that a table owns and another one numbers its rows by, quoted."""
        return [row[0] for row in self.rows(_SHARED, values=[table] * 2)]

    def go_on_numbering(self, new: str, old: str) -> None:
        """Let rows of `new` that number themselves get no number that `old` gave away."""
        for name in self.columns(new).identities:
            self.run(
                "SELECT setval(pg_get_serial_sequence(quote_ident(%s), %s), 1 + greatest("
                "(SELECT max({0}) FROM {1}), (SELECT max({0}) FROM {2}), 0), false)",
                name, new, old, values=[new, name],
            )  # fmt: skip

    def _said(self, error: Exception) -> str:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        return f"{self._url}: PostgreSQL says: {self._url.hide(first)}"


_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
    coalesce(a.attnum = ANY(i.indkey), false), a.attgenerated <> '', a.attidentity::text
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(quote_ident(%s)) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_BOUND = """
SELECT 'row security' FROM pg_class
WHERE oid = to_regclass(quote_ident(%s)) AND relrowsecurity
UNION ALL SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass FROM pg_constraint
WHERE contype = 'f' AND confrelid = to_regclass(quote_ident(%s)) AND conrelid <> confrelid
UNION ALL SELECT DISTINCT 'view ' || r.ev_class::regclass FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
AND d.refobjid = to_regclass(quote_ident(%s))
AND r.ev_class IS DISTINCT FROM to_regclass(quote_ident(%s))
"""
_INDEXES_ON = """
SELECT DISTINCT d.objid::regclass::text FROM pg_depend d JOIN pg_attribute a
ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid JOIN pg_index i ON i.indexrelid = d.objid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
AND d.refobjid = to_regclass(quote_ident(%s)) AND a.attname = %s
"""
_FOREIGN_KEYS = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND conrelid = to_regclass(quote_ident(%s)) AND conrelid <> confrelid
"""
_CLASSES = """
SELECT o.opcname FROM pg_index i CROSS JOIN unnest(i.indclass::oid[]) AS c
JOIN pg_opclass o ON o.oid = c WHERE i.indrelid = to_regclass(quote_ident(%s))
AND (o.opcname LIKE 'vector\\_%%\\_ops' OR o.opcname LIKE 'halfvec\\_%%\\_ops')
"""
_SHARED = """
SELECT DISTINCT s.oid::regclass::text FROM pg_class s JOIN pg_depend o
ON o.objid = s.oid AND o.deptype = 'a' AND o.refobjid = to_regclass(quote_ident(%s))
JOIN pg_depend u ON u.refobjid = s.oid AND u.classid = 'pg_attrdef'::regclass
JOIN pg_attrdef f ON f.oid = u.objid AND f.adrelid <> to_regclass(quote_ident(%s))
WHERE s.relkind = 'S'
"""
