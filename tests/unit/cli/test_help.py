"""`--help` is light, complete, and what the documentation says. bench/command_line.py times it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ragwheel.cli import reference
from ragwheel.cli.command import HELP_WIDTH, load, parser
from ragwheel.cli.commands import COMMANDS, OPTIONS, front_page
from ragwheel.cli.main import main

_HELP = "from ragwheel.cli.main import main; main(['--help'])"


def help_of(name: str) -> str:
    """What `ragwheel NAME --help` prints, as wide as it gets."""
    context = load(name).make_context(name, [], resilient_parsing=True, terminal_width=HELP_WIDTH)
    return load(name).get_help(context)


def test_help_imports_nothing_but_the_standard_library_and_its_own_text() -> None:
    script = f"import sys\n{_HELP}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    modules = set(done.stderr.split())
    ours = {m for m in modules if m.startswith("ragwheel.")}
    assert ours == {
        "ragwheel.cli", "ragwheel.cli.main", "ragwheel.cli.commands",
        "ragwheel.operations", "ragwheel.operations.extras",
    }  # fmt: skip
    heavy = {"typer", "rich", "pydantic", "confluent_kafka", "clickhouse_connect", "torch"}
    assert not heavy & modules


@pytest.mark.parametrize("argv", [["--help"], ["-h"]])
def test_help_lists_every_command_with_its_purpose(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out == front_page()
    for name, purpose in COMMANDS.items():
        assert f"  {name} " in front_page()
        assert purpose in front_page()


def test_the_parser_agrees_with_the_help_that_is_printed_without_it() -> None:
    group = parser()
    context = group.make_context("ragwheel", [], resilient_parsing=True)
    assert group.get_help(context) + "\n" == front_page()
    assert group.list_commands(context) == list(COMMANDS)
    parsed = [", ".join(sorted(parameter.opts, key=len)) for parameter in group.get_params(context)]
    assert sorted(parsed) == sorted(OPTIONS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_purpose_example_and_exit_statuses(name: str) -> None:
    text, purpose = help_of(name), COMMANDS[name]
    assert text.count("\n") > 10
    assert purpose[1:] in text.replace("\n ", "")
    assert f"\nExamples:\n  ragwheel {name}" in text
    assert "\nExit status:\n    0  " in text
    assert "  130  ended by Ctrl-C" in text
    assert not purpose.endswith(".")
    assert purpose[0].islower()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    context = load(name).make_context(name, [], resilient_parsing=True)
    for parameter in load(name).get_params(context):
        record = parameter.get_help_record(context)
        assert record is not None, parameter.name
        assert record[1].strip(), f"{name} {record[0]}"


def test_help_fits_a_wide_terminal() -> None:
    for text in (front_page(), *map(help_of, COMMANDS)):
        assert max(map(len, text.splitlines())) <= HELP_WIDTH


@pytest.mark.parametrize("path", reference.files(), ids=lambda path: path.name)
def test_the_printed_files_are_what_the_commands_say(path: object) -> None:
    fix = "run `make docs` (python -m ragwheel.cli.reference)"
    committed = {path: path.read_text("utf-8") for path in reference.files()}
    assert committed[path] == reference.files()[path], fix  # type: ignore[index]
