"""Files printed from the contracts: `python -m ragwheel.schemas.export` writes all of them.

JSON Schemas are for readers that are not Python, and so that a review sees what changes on the
wire. A test compares the committed files with what this module makes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from ragwheel.schemas.environment import compose_settings, env_example
from ragwheel.schemas.events import SCHEMA_VERSION, ChunkEvent, Record
from ragwheel.schemas.limits import MAX_EVENT_BYTES
from ragwheel.schemas.loading import TOOL_VARIABLES, describe
from ragwheel.schemas.metrics import ALL_METRICS
from ragwheel.schemas.topics import TOPICS, Topic

#: Where the JSON Schemas lie, beside this module.
JSON_DIR = Path(__file__).parent / "json"
_ROOT = Path(__file__).parents[3]
_NOTE = (
    "<!-- Printed by `python -m ragwheel.schemas.export`; "
    "change the code it is printed from instead. -->"
)


def json_schema(topic: Topic, model: type[Record]) -> str:
    """JSON Schema (draft 2020-12) of one kind of record that travels in `topic`."""
    schema = model.model_json_schema(mode="validation")
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"topic {topic.name}, key {topic.keys[model]}, at most {MAX_EVENT_BYTES} bytes",
    }
    # What the models check in code, said in the schema's own words.
    schema["required"] = ["event", *schema.get("required", [])]
    candidate = schema.get("$defs", {}).get("Candidate")
    if candidate is not None:
        candidate["anyOf"] = [{"required": ["text"]}, {"required": ["content_hash"]}]
    if model is ChunkEvent:
        deleted = {"properties": {"deleted": {"const": True}}, "required": ["deleted"]}
        schema["anyOf"] = [{"required": ["text"]}, deleted]
    return orjson.dumps(about | schema, option=orjson.OPT_INDENT_2).decode() + "\n"


def _schema_name(topic: Topic, tag: str) -> str:
    """A topic's own record has its name; what else it carries, its tag behind that."""
    return topic.name if topic.models[tag] is topic.model else f"{topic.name}.{tag}"


def settings_page() -> str:
    """docs/settings.md: every variable, its default and who reads it."""
    readers: dict[str, list[str]] = {}
    rows: dict[str, tuple[str, str]] = {}
    for process, variable, default, description in describe():
        readers.setdefault(variable, []).append(process)
        rows.setdefault(variable, (default, description))
    sections: dict[str, list[str]] = {}
    for variable, processes in readers.items():
        sections.setdefault(", ".join(processes), []).append(variable)
    lines = [
        "# Settings",
        "",
        _NOTE,
        "",
        "Every process reads its settings from the environment, once, when it starts. A value that",
        "is wrong, or a `RAGWHEEL_` variable that nobody knows, stops it with one line that says",
        "which; only the client logs that line and goes on without sending.",
        "",
        "What Kubernetes injects for each Service of the namespace is no setting and is ignored:",
        "`RAGWHEEL_<SERVICE>_SERVICE_HOST`, `…_SERVICE_PORT`, `…_PORT`, `…_PORT_<n>_TCP` …",
        "A Service `ragwheel-metrics` makes `RAGWHEEL_METRICS_PORT=tcp://…`, which is a setting's",
        "name: its default holds then, and what the pod sets itself wins, as everywhere.",
    ]
    for who, variables in sections.items():
        lines += ["", f"## Read by {who}", ""]
        lines += _table(
            ("Variable", "Default", "Meaning"),
            ((f"`{v}`", _code(rows[v][0]), rows[v][1]) for v in variables),
        )
    lines += ["", "## Read by the tools", ""]
    lines += _table(
        ("Variable", "Meaning"), ((f"`{v}`", about) for v, about in TOOL_VARIABLES.items())
    )
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """docs/metrics.md: every metric family by process."""
    lines = [
        "# Metrics",
        "",
        _NOTE,
        "",
        "Each process serves these at /metrics; a service exports those of the client with",
        "`ragwheel.client.collector.register()`. Dashboards and alerts are tested against them.",
    ]
    for process in dict.fromkeys(metric.process for metric in ALL_METRICS):
        lines += ["", f"## {process}", ""]
        lines += _table(
            ("Name", "Kind", "Labels", "Meaning"),
            (
                (f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels), m.help)
                for m in ALL_METRICS
                if m.process == process
            ),
        )
    return "\n".join(lines) + "\n"


def files(root: Path = _ROOT) -> dict[Path, str]:
    """Path and text of every printed file of the repository at `root`."""
    printed = {
        JSON_DIR / f"{_schema_name(topic, tag)}.v{SCHEMA_VERSION}.schema.json": json_schema(
            topic, model
        )
        for topic in TOPICS.values()
        for tag, model in topic.models.items()
    }
    printed[root / "docs/settings.md"] = settings_page()
    printed[root / "docs/metrics.md"] = metrics_page()
    printed[root / "infra/docker/settings.yml"] = compose_settings()
    printed[root / ".env.example"] = env_example()
    return printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with --check only tell which differ.

    Returns:
        Exit status: 1 if --check found a difference.
    """
    parser = argparse.ArgumentParser(prog="ragwheel.schemas.export", description=__doc__)
    parser.add_argument("--root", type=Path, default=_ROOT, help="the repository's root")
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    options = parser.parse_args(arguments)
    stale = [
        (path, text)
        for path, text in files(options.root).items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    for path, text in stale:
        sys.stdout.write(f"{'differs' if options.check else 'written'}: {path}\n")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    return int(options.check and bool(stale))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [
        _row(head),
        "|" + "---|" * len(head),
        *(_row(tuple(cell.replace("|", "\\|") for cell in row)) for row in rows),
    ]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    if text in ("True", "False"):
        text = text.lower()  # as one writes it in an environment
    return f"`{text}`" if text else "none"


if __name__ == "__main__":
    sys.exit(main())
