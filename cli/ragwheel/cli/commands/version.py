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

    report(
        Version(version("ragwheel"), platform.python_version()),
        lambda found: f"ragwheel {found.ragwheel} (Python {found.python})",
        as_json=as_json,
    )
    return 0
