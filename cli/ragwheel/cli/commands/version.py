"""`ragwheel version`."""

from __future__ import annotations

from dataclasses import dataclass

from ragwheel.cli.command import JsonFlag, command


@dataclass(frozen=True, slots=True)
class Version:
    """What is installed."""

    ragwheel: str
    python: str


@command("ragwheel version", "ragwheel --version")
def run(as_json: JsonFlag = False) -> int:
    import platform
    from importlib.metadata import version

    from ragwheel.cli.output import report

    found = Version(version("ragwheel"), platform.python_version())
    text = f"ragwheel {found.ragwheel} (Python {found.python})"
    report(found, text, as_json=as_json)
    return 0
