"""The SQL of docs/backup.md backs all up and brings it back, with compose's configuration."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest
from tests.rigs.examples import examples

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.schemas.tables import ALL_TABLES, rows_of
from ragwheel.schemas.topics import Position
from ragwheel.stack.clickhouse import ClickHouseFront

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
#: The engine with a configuration file: the embedded server takes none.
_ENGINE = """
import sys, chdb
connection = chdb.connect(f"{sys.argv[1]}?config-file={sys.argv[2]}")
for statement in sys.argv[3:]:
    connection.query(statement)
connection.close()
"""


def _documented() -> list[str]:
    """The statements of the page, in its order."""
    page = (ROOT / "docs/backup.md").read_text("utf-8")
    return [sql.strip() for sql in re.findall(r"^ *```sql\n(.*?)^ *```", page, re.M | re.S)]


def _run(engine: Path, folder: Path, *statements: str) -> None:
    """Run statements on the engine's data, configured as compose's server, but for the folder."""
    text = (ROOT / "infra/docker/clickhouse.xml").read_text("utf-8")
    text, changed = re.subn(r"(<allowed_path>).*(</allowed_path>)", rf"\1{folder}/\2", text)
    assert changed == 1
    config = folder / "config.xml"
    config.write_text(re.sub(r"<prometheus>.*</prometheus>", "", text, flags=re.S), "utf-8")
    there = [sql.replace("File('", f"File('{folder}/") for sql in statements]
    done = subprocess.run(
        [sys.executable, "-c", _ENGINE, str(engine), str(config), *there],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]


def _settings(front: ClickHouseFront) -> ClickHouseSettings:
    values: Mapping[str, str] = {
        name.removeprefix("RAGWHEEL_").lower(): value for name, value in front.settings().items()
    }
    return ClickHouseSettings(**values)  # type: ignore[arg-type] # as the environment gives them


def _land(home: Path, *, first_offset: int) -> None:
    """Insert the rows of one record of each kind, as intake does."""
    with ClickHouseFront(home) as front:
        client = connect(_settings(front), create_database=True)
        migrate(client, replicated=False)
        for number, (topic, record) in enumerate(examples().items()):
            for table, row in rows_of(record, Position(topic, 0, first_offset + number)):
                client.insert(table.name, [row], column_names=table.columns)
        client.close()


def _content(home: Path) -> dict[str, bytes]:
    """Every row of every view, as readers see them."""
    with ClickHouseFront(home) as front:
        client = connect(_settings(front))
        found = {}
        for table in ALL_TABLES:
            rows = client.query(f"SELECT * FROM v_{table.name}").result_rows  # noqa: S608 - our names
            found[table.name] = orjson.dumps(sorted(map(str, rows)))
        client.close()
    return found


def test_what_was_backed_up_comes_back_and_what_is_read_again_is_no_second_row(
    tmp_path: Path,
) -> None:
    full, incremental, drop, restore = _documented()
    home, backups = tmp_path / "clickhouse", tmp_path / "backups"
    backups.mkdir()
    engine = home / "engine"
    _land(home, first_offset=0)
    _run(engine, backups, full)
    _land(home, first_offset=1_000)
    before = _content(home)
    filled = {name for name, rows in before.items() if rows != b"[]"}
    assert {"labels", "models", "model_metrics", "queries", "retrievals", "chunks"} <= filled

    _run(engine, backups, incremental, drop)
    _run(engine, backups, restore)
    assert _content(home) == before
    _land(home, first_offset=1_000)
    assert _content(home) == before, "intake was set back and read them again"
