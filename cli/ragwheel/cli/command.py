"""What a command is, the options that several share, and the parser made of all commands.

At the top of a command's file nothing heavier is imported than this: what a command does is loaded
when it runs, so that `ragwheel COMMAND --help` and the shell's completion answer quickly and work
with no further extra installed.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from ragwheel.cli.commands import COMMANDS, COMPLETION, OPTIONS, front_page
from ragwheel.cli.endings import ended

#: Exit statuses that every command may end with. Others are told by `--help` of the command.
COMMON_EXITS = {
    0: "done",
    2: "the command line cannot be read",
    69: "a broker, database or endpoint does not answer, or lacks topics or tables",
    78: "a setting is wrong or a package is missing; the message names the fix",
    130: "ended by Ctrl-C",
}
#: Help is as wide as the terminal, up to this.
HELP_WIDTH = 100
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH}


@dataclass(frozen=True, slots=True)
class Command:
    """What `command` makes: a command's work, and what its `--help` says below the options."""

    run: Callable[..., int]
    examples: tuple[str, ...]
    exits: Mapping[int, str]

    def epilog(self) -> str:
        """Examples and exit statuses, as printed below the options."""
        examples = "\n".join(f"  {example}" for example in self.examples)
        known = sorted({**COMMON_EXITS, **self.exits}.items())
        exits = "\n".join(f"  {status:>3}  {meaning}" for status, meaning in known)
        return f"\nExamples:\n{examples}\n\nExit status:\n{exits}\n"


def command(
    *examples: str, exits: Mapping[int, str] | None = None
) -> Callable[[Callable[..., int]], Command]:
    """Makes the function `run` of a file in `commands` one command of `ragwheel`.

    `run` does it and returns the exit status; it raises RagwheelError. Its parameters are the
    options, its docstring the paragraphs of `--help` between purpose and options.

    Args:
        examples: command lines as they are typed.
        exits: exit statuses beyond `COMMON_EXITS`, with their meaning.
    """
    return lambda run: Command(run, examples, exits or {})


def flag(name: str, purpose: str) -> Any:
    """An option that is typed or not, without a `--no-` of its own."""
    return typer.Option(name, help=purpose)


def option(metavar: str, purpose: str, *names: str, **more: Any) -> Any:
    """An option with a value; named as its parameter if no `names` are given."""
    return typer.Option(*names, metavar=metavar, help=purpose, **more)


def home_option(purpose: str) -> Any:
    """`--home`, with what the command uses it for."""
    return option("DIR", f"{purpose} (default: $RAGWHEEL_HOME, else ./.ragwheel)", "--home")


Connection = Annotated[
    Path | None,
    home_option(
        "use the stack that `ragwheel up` runs there, unless RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS or "
        "RAGWHEEL_CLICKHOUSE_URL say where to go"
    ),
]
"""`--home` of commands that talk to a broker or database; see `connection.connect_to`."""
StackHome = Annotated[Path | None, home_option("folder of the stack")]
"""`--home` of commands that concern the local stack alone."""
JsonFlag = Annotated[bool, flag("--json", "print one JSON object")]
DryRun = Annotated[bool, flag("--dry-run", "show what would be done, change nothing")]
_Debug = Annotated[bool, flag("--debug", "show tracebacks and the log of every library")]


@cache
def parser() -> TyperGroup:
    """The parser of the whole command line; a command's file is loaded when it is asked for."""
    app = typer.Typer(cls=_Commands, rich_markup_mode=None, context_settings=_CONTEXT)
    app.callback()(_before_the_command)
    return cast(TyperGroup, get_command(app))


@cache
def load(name: str) -> TyperCommand:
    """The parser of one command."""
    loaded: Command = import_module(f"ragwheel.cli.commands.{name.replace('-', '_')}").run
    purpose = COMMANDS[name]
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(
        name,
        cls=_Command,
        help=f"{purpose[0].upper()}{purpose[1:]}.\n\n{inspect.getdoc(loaded.run) or ''}",
        epilog=loaded.epilog(),
        context_settings=_CONTEXT,
    )(_as_typed(loaded.run))
    return cast(TyperCommand, get_command(app))


class _Commands(TyperGroup):
    """All commands, each loaded when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS:
            return load(cmd_name)
        near = get_close_matches(cmd_name, COMMANDS)
        if near and not ctx.resilient_parsing:
            ctx.fail(f"There is no command {cmd_name!r}. Did you mean {near[0]!r}?")
        return None

    def get_params(self, ctx: Any) -> Any:
        return _quick(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(front_page())


class _Command(TyperCommand):
    """One command, whose epilog is printed as it is written."""

    def get_params(self, ctx: Any) -> Any:
        return _quick(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        # Typer names the Python type of an argument that repeats; the usage line says it better.
        return super().get_help(ctx).replace(" <list[str]>", "")

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        formatter.write(self.epilog)


def _quick(parameters: Any) -> Any:
    """The same parameters, which load pydantic only to run a command.

    Typer asks it about values, also about the None of a flag that was not typed: half a second on
    a small machine for each `--help`, and after each press of the Tab key.
    """
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.default = False
        if COMPLETION in os.environ:
            vars(parameter)["process_value"] = lambda _context, value: value
    return parameters


def _as_typed(run: Callable[..., int]) -> Callable[..., None]:
    """A command's work with `--debug` beside its own options, ending with its exit status."""

    @wraps(run)
    def typed(*, debug: bool, **options: Any) -> None:
        raise typer.Exit(ended(lambda: run(**options), debug=debug))

    own = inspect.signature(run, eval_str=True)
    of_debug = inspect.Parameter(
        "debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Debug
    )
    # What typer reads; `run` itself stays callable by hand.
    vars(typed)["__signature__"] = own.replace(parameters=[*own.parameters.values(), of_debug])
    return typed


def _show_version(asked: bool) -> None:
    if asked:
        raise typer.Exit(load("version").main([], standalone_mode=False))


def _before_the_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help=OPTIONS["--version"]),
    ] = False,
) -> None:
    """Options that stand before a command."""
