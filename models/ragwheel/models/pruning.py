"""What may go: models that neither serve, nor served, nor are measured, and vectors of no use."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ragwheel.models.manifest import MANIFEST_FILE
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import USED


@dataclass(frozen=True, slots=True)
class PruningPolicy:
    """What is kept.

    Attributes:
        models: the newest so many, besides those that are needed.
        vectors_days: vectors that were asked for within so many days.
    """

    models: int
    vectors_days: int


class Pruned(NamedTuple):
    """What was removed, or would be: model ids, and folders of the vector cache."""

    models: tuple[str, ...]
    vectors: tuple[Path, ...]


def prune(
    registry: ModelRegistry,
    cache: Path,
    now: datetime,
    policy: PruningPolicy,
    needed: Collection[str],
    *,
    dry_run: bool = False,
) -> Pruned:
    """Remove what policy no longer keeps.

    Args:
        needed: see `prunable_models`.
        dry_run: only say what would go.
    """
    with registry.locked():
        models = prunable_models(registry, policy.models, needed)
        vectors = prunable_vectors(cache, now, policy.vectors_days)
        for folder in [] if dry_run else [registry.root / "models" / each for each in models]:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in [] if dry_run else vectors:
            shutil.rmtree(folder, ignore_errors=True)
    return Pruned(tuple(models), tuple(vectors))


def prunable_models(registry: ModelRegistry, keep: int, needed: Collection[str]) -> list[str]:
    """Ids of models that policy no longer keeps, oldest first. Reports are kept for good.

    Never among them: the line of promotions, which a rollback walks back; `needed`; the `keep`
    newest of the others.

    Args:
        needed: models that somebody still measures or has to finish a decision about.
    """
    kept = {each.model_id for each in registry.promotions()} | set(needed)
    others = [each for each in registry.ids() if each not in kept]
    written = {
        each: (registry.root / "models" / each / MANIFEST_FILE).stat().st_mtime for each in others
    }
    others.sort(key=lambda each: (written[each], each))
    return others[: max(0, len(others) - keep)]


def prunable_vectors(cache: Path, now: datetime, unused_days: int) -> list[Path]:
    """Folders of the vector cache that nothing was asked of for so long.

    They can always be made again; what a cycle uses, it used within a day.
    """
    limit = (now - timedelta(days=unused_days)).timestamp()
    folders = [each for each in cache.glob("*") if each.is_dir()]
    return sorted(each for each in folders if last_used(each) < limit)


def last_used(folder: Path) -> float:
    """Time stamp of the last request to a folder of the vector cache."""
    mark = folder / USED
    return (mark if mark.exists() else folder).stat().st_mtime
