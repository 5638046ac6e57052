"""What was learnt about servers, kept in files, so that no start is refused to learn it again.

One small file for each address, model and wish; whatever is wrong with one, it is as if it were not
there. Nothing secret is in them.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from ragwheel.backends.files import replace_file
from ragwheel.grading.endpoint.request import RequestShape
from ragwheel.schemas import identity

_LOG = logging.getLogger(__name__)
#: Servers are updated; after this they are asked with all that is wished once more.
_FORGOTTEN_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class LearntShape:
    """The shape that a server answered.

    Attributes:
        base_url: address of the endpoint.
        wished: what was sent at first, as the settings have it.
        taken: what was answered.
    """

    base_url: str
    model: str
    wished: RequestShape
    taken: RequestShape
    learnt_at: datetime

    def fresh(self, now: datetime) -> bool:
        """Whether it is recent enough to begin with."""
        return now - self.learnt_at < _FORGOTTEN_AFTER


def remember(folder: Path, learnt: LearntShape) -> None:
    """Keep it. A folder that cannot be written costs a refused request at the next start."""
    try:
        replace_file(_path(folder, learnt.base_url, learnt.model, learnt.wished), _json(learnt))
    except OSError as error:
        _LOG.warning("what %s takes is not remembered: %s", learnt.model, error)


def recall(folder: Path, base_url: str, model: str, wished: RequestShape) -> LearntShape | None:
    """What was learnt; None if nothing was, or it cannot be read."""
    try:
        kept = orjson.loads(_path(folder, base_url, model, wished).read_bytes())
        return LearntShape(**kept)
    except (OSError, orjson.JSONDecodeError, ValidationError, TypeError):
        return None


def first_shape(folder: Path, base_url: str, model: str, wished: RequestShape) -> RequestShape:
    """What to send first: what the server took lately, else what is wished."""
    learnt = recall(folder, base_url, model, wished)
    return learnt.taken if learnt is not None and learnt.fresh(datetime.now(UTC)) else wished


def _path(folder: Path, base_url: str, model: str, wished: RequestShape) -> Path:
    wish = orjson.dumps(asdict(wished)).decode()
    return folder / f"{identity.digest('shape', base_url, model, wish)}.json"


def _json(learnt: LearntShape) -> bytes:
    return orjson.dumps(learnt, option=orjson.OPT_INDENT_2)
