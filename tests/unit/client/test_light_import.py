"""What a service pays for importing the client."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

HEAVY = ("torch", "faust", "openai", "clickhouse_connect", "numpy", "chdb", "aiokafka",
         "prometheus_client", "sentence_transformers")  # fmt: skip


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("module", ["ragwheel.client", "ragwheel.client.recording"])
def test_the_client_loads_nothing_heavy_and_nothing_of_the_other_parts(module: str) -> None:
    loaded = ast.literal_eval(run(f"import sys, {module}; print(sorted(sys.modules))"))
    assert [name for name in HEAVY if name in loaded] == []
    ours = {name.split(".")[1] for name in loaded if name.startswith("ragwheel.")}
    assert ours == {"backends", "client", "schemas"}


def test_importing_opens_no_producer_and_starts_no_thread() -> None:
    code = (
        "import threading, ragwheel.client as r;"
        "print([t.name for t in threading.enumerate()], r.stats().total.queued)"
    )
    assert run(code) == "['MainThread'] 0\n"


def test_the_module_functions_are_those_of_the_default_client() -> None:
    code = (
        "import ragwheel.client as r;"
        "r.configure(client_enabled=False);"
        "q = r.query('x');"
        "print(r.default_client().problem == '', q.text, r.flush(), r.emit_chunks([('c', 't')]))"
    )
    assert run(code) == "True x 0 0\n"
