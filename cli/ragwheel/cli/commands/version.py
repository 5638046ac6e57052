"""`ragwheel version`."""

from __future__ import annotations

from ragwheel.cli.command import Command, Json


def run(as_json: Json = False) -> int:
    import platform
    from importlib.metadata import version

    from ragwheel.cli.output import show, show_json
    from ragwheel.cli.reports import Version

    found = Version(version("ragwheel"), platform.python_version())
    if as_json:
        show_json(found)
    else:
        show(f"ragwheel {found.ragwheel} (Python {found.python})")
    return 0


COMMAND = Command(run=run, examples=("ragwheel version", "ragwheel --version"))
