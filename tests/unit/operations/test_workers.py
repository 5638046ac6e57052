"""How workers are started."""

from __future__ import annotations

from importlib.util import find_spec

from ragwheel.operations.extras import EXTRAS
from ragwheel.operations.workers import KINDS, WORKERS, worker_argv


def test_every_worker_has_a_main_module_and_a_known_extra() -> None:
    assert set(KINDS) == set(WORKERS)
    for name, kind in KINDS.items():
        assert find_spec(f"{kind.module}.__main__") is not None
        assert kind.extra in EXTRAS
        assert worker_argv(name)[1:] == ["-m", kind.module]
