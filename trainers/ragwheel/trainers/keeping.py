"""How long texts are kept beside the models: as long as policy says, and not if forgotten."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ragwheel.models.retention import prune_snapshots, without_examples
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data import folder
from ragwheel.trainers.parts import Parts

_LOG = logging.getLogger(__name__)

#: How often age is looked at; what is forgotten is looked at each time there is more of it.
_EVERY = timedelta(days=1)


@dataclass
class SnapshotKeeper:
    """Removes snapshots that may not be kept, when there may be some."""

    _forgotten: int = field(default=-1, init=False)
    _at: datetime | None = field(default=None, init=False)

    def keep(self, parts: Parts, settings: TrainerSettings) -> None:
        """Remove what is too old or holds what is forgotten, with its examples in reports.

        Raises:
            UnavailableError: ClickHouse does not say what is forgotten. Nothing was removed.
        """
        now, tombstones = parts.now(), parts.store.forgotten()
        due = self._at is None or now - self._at >= _EVERY
        if len(tombstones) == self._forgotten and not due:
            return
        before = now - timedelta(days=settings.keep_snapshots_days)
        gone = prune_snapshots(settings.model_dir / folder.SNAPSHOTS, before, tombstones)
        # By what is there, not by what went just now: after a crash in between it goes on.
        kept = {each.name for each in (settings.model_dir / folder.SNAPSHOTS).glob("[!.]*")}
        for model_id in parts.registry.reported():
            report = parts.registry.report(model_id) or {}
            if report.get("snapshot_id") not in kept and report != without_examples(report):
                parts.registry.save_report(model_id, without_examples(report))
        if gone:
            _LOG.info("removed %d snapshots: too old, or with texts that are forgotten", len(gone))
        self._forgotten, self._at = len(tombstones), now
