"""The numbered `.sql` files that make the tables, and how they are read.

`NNNN_name.up.sql` never changes once it is merged; its `.down.sql` is the way back, which tests
run and no command offers. Every statement can run twice, because a run may die behind any of them.
A file that rewrites rows says so in a line of its own: `-- data: moves`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError

_FILE = re.compile(r"(\d{4})_(\w+)\.up\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step; `up` and `down` are the texts of its files."""

    version: int
    name: str
    up: str
    down: str

    @property
    def label(self) -> str:
        """What people call it: `0001_tables`."""
        return f"{self.version:04d}_{self.name}"

    @property
    def checksum(self) -> str:
        """Of the file that is applied."""
        return identity.digest("migration", self.up)

    @property
    def moves_data(self) -> bool:
        """Whether it rewrites rows: that takes time and cannot be taken back."""
        return re.search(r"^-- data: moves$", self.up, re.MULTILINE) is not None


def migrations() -> tuple[Migration, ...]:
    """All migrations, oldest first. Numbers are consecutive from 1."""
    folder = resources.files(__name__)
    found = []
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if match := _FILE.fullmatch(entry.name):
            down = folder / entry.name.replace(".up.sql", ".down.sql")
            texts = entry.read_text("utf-8"), down.read_text("utf-8")
            found.append(Migration(int(match[1]), match[2], *texts))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ConfigError(f"migration numbers are not 1..n: {[m.version for m in found]}")
    return tuple(found)


def migrations_table() -> str:
    """The table that notes which migrations ran; not itself one of them."""
    return (resources.files(__name__) / "schema_migrations.sql").read_text("utf-8")


def statements(sql: str, *, replicated: bool = False) -> Iterator[str]:
    """Statements of a migration file, each as it is sent; they end with `;` at the end of a line.

    Args:
        replicated: use the Replicated variants of the engines.
    """
    for part in re.split(r";[ \t]*(?:\n|$)", sql):
        body = "\n".join(line for line in part.splitlines() if not line.strip().startswith("--"))
        if body.strip():
            prefix = "Replicated" if replicated else ""
            yield re.sub(r"ENGINE = (\w*MergeTree)", rf"ENGINE = {prefix}\1", part.strip())
