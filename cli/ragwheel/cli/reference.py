"""docs/cli.md, printed from the parsers: `python -m ragwheel.cli.reference` rewrites it."""

from __future__ import annotations

from pathlib import Path

from ragwheel.cli.main import build_parsers

PATH = Path(__file__).parents[3] / "docs" / "cli.md"
_WIDTH = 100

_HEAD = """\
# The command line

What `ragwheel COMMAND --help` prints. This file is generated: `make docs` rewrites it
(`python -m ragwheel.cli.reference`), and a test compares it with the commands.

Commands that talk to Kafka or ClickHouse find them in this order: the stack in a `--home` that was
typed; `RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS` and `RAGWHEEL_CLICKHOUSE_URL`; the stack that runs in
`$RAGWHEEL_HOME` or `./.ragwheel`; `localhost`. Errors are one line on stderr; `--debug` shows the
traceback.
"""


def reference() -> str:
    """The text of docs/cli.md."""
    parser, commands = build_parsers(_WIDTH)
    parts = [_HEAD, _block(parser.format_help())]
    for name, command in commands.items():
        parts += [f"## ragwheel {name}\n", _block(command.format_help())]
    return "\n".join(parts)


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def main() -> None:
    """Rewrite the file."""
    PATH.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
