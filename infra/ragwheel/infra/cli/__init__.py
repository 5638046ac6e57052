"""The command line `ragwheel`: one file per command; commands parse and call."""

from ragwheel.infra.cli.app import main

__all__ = ["main"]
