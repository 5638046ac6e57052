"""Trained models as folders named by their content, and an alias that says which one serves.

    <root>/models/<model id>/manifest.json · query_encoder/ …   written once, never changed
    <root>/reports/<model id>.json                              what the gate measured
    <root>/current.json                                         promoted model and those before it

Every change of state is one durable rename, so a reader or a crash sees either the old state or
the new one. One trainer writes; any number of processes read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from ragwheel.backends import files
from ragwheel.models.manifest import MANIFEST_FILE, Manifest
from ragwheel.schemas.errors import TerminalError

QUERY_ENCODER = "query_encoder"
_ID_CHARS = 16


class RegistryError(TerminalError):
    """The registry cannot do what was asked; the message names the model and the fix."""


class Promotion(BaseModel):
    """One entry of the alias: what began to serve when, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    at: datetime
    reason: str


class _Alias(BaseModel):
    """Promotions, oldest first; the last one serves. Empty: the base model serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    promotions: tuple[Promotion, ...] = ()


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model in the registry.

    Attributes:
        folder: holds the manifest and the encoder.
    """

    model_id: str
    manifest: Manifest
    folder: Path

    @property
    def query_encoder(self) -> Path:
        """A sentence-transformers folder that encodes queries."""
        return self.folder / QUERY_ENCODER


class ModelRegistry:
    """Models under one root folder."""

    def __init__(self, root: Path) -> None:
        """`root` is created when the first model is registered."""
        self._root = root

    def register(self, manifest: Manifest, save: Callable[[Path], None]) -> RegisteredModel:
        """Store a model.

        Args:
            save: writes the query encoder into the folder it is given.

        Returns:
            The model; the one that is there already if its content is equal.
        """
        models = self._root / "models"
        with files.staged_folder(models) as folder:
            save(folder / QUERY_ENCODER)
            (folder / MANIFEST_FILE).write_bytes(_pretty(manifest))
            model_id = content_address(folder)
            target = models / model_id
            if not target.exists():
                files.put_in_place(folder, target)
        return self.get(model_id)

    def get(self, model_id: str) -> RegisteredModel:
        """A model by id.

        Raises:
            RegistryError: there is no such model, or its manifest cannot be read.
        """
        folder = self._root / "models" / model_id
        try:
            manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        except FileNotFoundError:
            known = ", ".join(sorted(self.ids())) or "none"
            raise RegistryError(
                f"no model {model_id!r} in {self._root} (known: {known}); see `ragwheel models`"
            ) from None
        except ValidationError as error:
            raise RegistryError(f"{folder / MANIFEST_FILE} cannot be read: {error}") from None
        return RegisteredModel(model_id, manifest, folder)

    def verify(self, model_id: str) -> None:
        """Check that a model's bytes are those it was registered with.

        Raises:
            RegistryError: it is missing or was changed.
        """
        model = self.get(model_id)
        if content_address(model.folder) != model_id:
            raise RegistryError(
                f"model {model_id} was changed on disk: remove {model.folder} and train again, or "
                "restore it from a backup"
            )

    def ids(self) -> list[str]:
        """Ids of all models, sorted."""
        models = self._root / "models"
        return sorted(each.parent.name for each in models.glob(f"[!.]*/{MANIFEST_FILE}"))

    def current(self) -> RegisteredModel | None:
        """The promoted model; None when the base model serves."""
        promotions = self.promotions()
        return self.get(promotions[-1].model_id) if promotions else None

    def promotions(self) -> tuple[Promotion, ...]:
        """The line of promotions that leads to the current model, oldest first."""
        path = self._root / "current.json"
        if not path.exists():
            return ()
        try:
            return _Alias.model_validate_json(path.read_bytes()).promotions
        except ValidationError as error:
            raise RegistryError(f"{path} cannot be read: {error}") from None

    def promote(self, model_id: str, reason: str, at: datetime) -> None:
        """Make a model the current one.

        Raises:
            RegistryError: it is missing or was changed on disk.
        """
        self.verify(model_id)
        entry = Promotion(model_id=model_id, at=at, reason=reason)
        self._write_alias((*self.promotions(), entry))

    def rollback(self) -> tuple[str, str | None]:
        """Go back to what served before, even when the current model's folder is gone.

        Returns:
            Id of the model that no longer serves, and of the one that does; None: the base model.

        Raises:
            RegistryError: nothing was ever promoted, or the model before was changed on disk.
        """
        promotions = self.promotions()
        if not promotions:
            raise RegistryError("nothing to roll back: the base model serves")
        remaining = promotions[:-1]
        serving = remaining[-1].model_id if remaining else None
        if serving is not None:
            self.verify(serving)
        self._write_alias(remaining)
        return promotions[-1].model_id, serving

    def save_report(self, model_id: str, report: dict[str, object]) -> None:
        """Store what the gate measured; replaces an earlier report of the model."""
        path = self._root / "reports" / f"{model_id}.json"
        files.replace_file(path, orjson.dumps(report, option=orjson.OPT_INDENT_2))

    def report(self, model_id: str) -> dict[str, object] | None:
        """The stored report of a model, if there is one."""
        path = self._root / "reports" / f"{model_id}.json"
        return dict(orjson.loads(path.read_bytes())) if path.exists() else None

    def _write_alias(self, promotions: tuple[Promotion, ...]) -> None:
        files.replace_file(self._root / "current.json", _pretty(_Alias(promotions=promotions)))


def content_address(folder: Path) -> str:
    """Digest of the names and bytes of all files below `folder`."""
    hasher = blake2b(digest_size=_ID_CHARS // 2, person=b"model")
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = path.relative_to(folder).as_posix().encode()
        hasher.update(len(name).to_bytes(8, "big") + name)
        hasher.update(path.stat().st_size.to_bytes(8, "big"))
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                hasher.update(block)
    return hasher.hexdigest()


def _pretty(value: BaseModel) -> bytes:
    return value.model_dump_json(indent=2).encode()
