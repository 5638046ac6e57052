"""What the engine lets its one user do, in the engine's own terms: grants and sealed settings.

Reading and writing a source (FILE, URL, S3, REMOTE, MYSQL …) is granted to nobody, so every table
function, engine, view, dictionary or backup that needs one is refused where it runs, however the
statement is written. What has no privilege of its own is left to `admission`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from ragwheel.backends.files import replace_file

_GRANTED = (
    "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP DATABASE, "
    "DROP TABLE, DROP VIEW, TRUNCATE, OPTIMIZE, CHECK, KILL QUERY"
)
#: Settings that nobody changes, with the value they have; None is the engine's default. Each could
#: carry SQL in a string, name a file, or have a text read by another parser than `admission` asks.
_SEALED: Mapping[str, str | None] = {
    "additional_result_filter": None,
    "additional_table_filters": None,
    "allow_experimental_eval_table_function": "0",
    "allow_python_table_function": "0",
    "dialect": None,
    "format_schema": None,
    "format_schema_source": None,
    "format_template_resultset": None,
    "format_template_row": None,
    # Data are data: without these, `VALUES` would evaluate what stands in them.
    "input_format_values_deduce_templates_of_expressions": "0",
    "input_format_values_interpret_expressions": "0",
    "parallel_replicas_custom_key": None,
}
# The engine's own default database also shows the files of the working directory as tables. It
# gets another name, and `default` is an ordinary database, as on a server.
_CONFIG = """<clickhouse>
  <default_database>_working_directory</default_database>
  <users_config>{path}</users_config>
  <profiles><default>{values}<constraints>{sealed}</constraints></default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password/>
    <networks><ip>::/0</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
    <grants><query>GRANT {granted} ON *.*</query></grants>
  </default></users>
</clickhouse>
"""
_DEFAULT_DATABASE = "ATTACH DATABASE _ UUID '{id}'\nENGINE = Atomic\n"


def prepare(path: Path) -> Path:
    """Write the configuration of the engine whose data are in `path`; gives its file."""
    metadata = path / "metadata" / "default.sql"
    if not metadata.exists():
        replace_file(metadata, _DEFAULT_DATABASE.format(id=uuid.uuid4()).encode(), mode=0o600)
    # A link that the engine makes for people to follow, and that it cannot start with.
    metadata.with_suffix("").unlink(missing_ok=True)
    config = path.with_name(f"{path.name}.xml")
    text = _CONFIG.format(
        path=_escaped(os.fspath(config)),
        values="".join(f"<{name}>{it}</{name}>" for name, it in _SEALED.items() if it is not None),
        sealed="".join(f"<{name}><const/></{name}>" for name in _SEALED),
        granted=_GRANTED,
    )
    replace_file(config, text.encode(), mode=0o600)
    return config


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
