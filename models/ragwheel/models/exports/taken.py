"""What is exported: one side of a registered model, with what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ragwheel.backends import files
from ragwheel.models.encoder import Side
from ragwheel.models.manifest import Manifest
from ragwheel.schemas.errors import TerminalError


class ModelExportError(TerminalError):
    """Nothing was exported; the message names the fix."""


@dataclass(frozen=True, slots=True)
class TakenSide:
    """One side of a registered model.

    Attributes:
        side: `query` is what was trained; `document` is what its queries are compared with.
        manifest: of the registered model, for both sides.
        report: what the gate measured; None if it did not get that far.
        folder: a sentence-transformers folder that encodes this side; it is only read.
    """

    model_id: str
    side: Side
    manifest: Manifest
    report: Mapping[str, object] | None
    folder: Path


@contextmanager
def new_folder(to: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `to` at the end: whole, or not at all.

    Raises:
        ModelExportError: `to` is a file, or a folder that is not empty.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ModelExportError(f"{to} is there and not empty: name a new or empty folder")
    with files.staged_folder(to.absolute().parent) as staged:
        yield staged
        files.put_in_place(staged, to)
