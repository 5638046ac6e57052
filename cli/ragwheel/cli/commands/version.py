"""`ragwheel version`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, no_options


def run(_args: argparse.Namespace) -> int:
    import platform
    from importlib.metadata import version

    print(f"ragwheel {version('ragwheel')} (Python {platform.python_version()})")
    return 0


COMMAND = Command(
    name="version",
    purpose="print the version of ragwheel and of Python",
    examples=("ragwheel version",),
    configure=no_options,
    run=run,
)
