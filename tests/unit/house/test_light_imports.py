"""Numbers and models can be used without what trains and without what they do not need."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions

from tests.rigs.house import modules


def loaded_by(*names: str) -> set[str]:
    """Modules in a fresh interpreter after importing these."""
    imports = "".join(f"import {name}\n" for name in names)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{imports}print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def room(name: str) -> list[str]:
    """All modules of a room, except those that run when imported."""
    start = f"ragwheel.{name}"
    return [
        each
        for each in modules()
        if (each == start or each.startswith(f"{start}.")) and not each.endswith("__main__")
    ]


def test_measuring_loads_numpy_alone() -> None:
    third_party = {name for name in packages_distributions() if name != "ragwheel"}
    top = {name.partition(".")[0] for name in loaded_by(*room("measuring"))}
    # Hooks of editable installs and of the environment are there in any interpreter.
    plain = {name.partition(".")[0] for name in loaded_by("sys")}
    assert (top & third_party) - plain == {"numpy"}


def test_models_load_no_trainer() -> None:
    found = loaded_by(*room("models"))
    assert "ragwheel.models.registry" in found
    assert [name for name in found if name.startswith("ragwheel.trainers")] == []
