"""Trained models as folders named by their content, and an alias that says which one serves.

    <root>/models/<model id>/manifest.json · query_encoder/ …   written once, never changed
    <root>/reports/<model id>.json                              what the gate measured
    <root>/current.json                   promoted model, those before it, what was rolled back

Every change of state is one durable rename, so a reader or a crash sees either the old state or
the new one. Whoever reads the alias to change it holds `lock`; any number of processes read.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

import orjson
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from ragwheel.backends import files
from ragwheel.models.manifest import MANIFEST_FILE, Manifest
from ragwheel.schemas.errors import TerminalError

QUERY_ENCODER = "query_encoder"
MODELS_FOLDER = "models"
CURRENT_FILE = "current.json"
_ID_CHARS = 16


class RegistryError(TerminalError):
    """The registry cannot do what was asked; the message names the model and the fix."""


class NotApplicableError(RegistryError):
    """The alias is not what a verdict was made for. Nothing was changed."""


class Promotion(BaseModel):
    """One entry of the alias: what began to serve when, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    at: datetime
    reason: str


class Hold(BaseModel):
    """A model that was rolled back: it stays so until a person allows it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    at: datetime
    reason: str


class Alias(BaseModel):
    """Promotions, oldest first; the last one serves. Empty: the base model serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    promotions: tuple[Promotion, ...] = ()
    holds: tuple[Hold, ...] = ()


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
        self.root = root
        #: Held by whoever changes what serves; ends with its process. Does not hold across
        #: machines on file systems without locks; there the comparison in `promote` remains.
        self.lock = FileLock(root / "registry.lock")

    def register(
        self,
        manifest: Manifest,
        save: Callable[[Path], None],
        beside: Callable[[Path], None] = lambda folder: None,
    ) -> RegisteredModel:
        """Store a model.

        Args:
            save: writes the query encoder into the folder it is given.
            beside: writes what else belongs to the model into the folder it is given.

        Returns:
            The model; the one that is there already if its content is equal.
        """
        models = self.root / MODELS_FOLDER
        with files.staged_folder(models) as folder:
            save(folder / QUERY_ENCODER)
            beside(folder)
            (folder / MANIFEST_FILE).write_bytes(_pretty(manifest))
            model_id = content_address(folder)
            self.take_in(folder, model_id)
        return self.get(model_id)

    def take_in(self, staged: Path, model_id: str) -> None:
        """Put a finished folder in its place, unless the model is there."""
        target = self.root / MODELS_FOLDER / model_id
        if not target.exists():
            files.put_in_place(staged, target)

    def discard(self, model_id: str) -> None:
        """Remove a model's folder: it is damaged, and lies elsewhere too."""
        shutil.rmtree(self.root / MODELS_FOLDER / model_id, ignore_errors=True)

    def get(self, model_id: str) -> RegisteredModel:
        """A model by id.

        Raises:
            RegistryError: there is no such model, or its manifest cannot be read.
        """
        folder = self.root / MODELS_FOLDER / model_id
        try:
            manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        except FileNotFoundError:
            known = ", ".join(sorted(self.ids())) or "none"
            raise RegistryError(
                f"no model {model_id!r} in {self.root} (known: {known}); see `ragwheel models`"
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
        models = self.root / MODELS_FOLDER
        return sorted(each.parent.name for each in models.glob(f"[!.]*/{MANIFEST_FILE}"))

    def current(self) -> RegisteredModel | None:
        """The promoted model; None when the base model serves."""
        model_id = self.current_id()
        return None if model_id is None else self.get(model_id)

    def current_id(self) -> str | None:
        """Id of the promoted model, readable even when its folder is gone; None: the base."""
        promotions = self.promotions()
        return promotions[-1].model_id if promotions else None

    def promotions(self) -> tuple[Promotion, ...]:
        """The line of promotions that leads to the current model, oldest first."""
        return self._alias().promotions

    def holds(self) -> tuple[Hold, ...]:
        """What was rolled back and not allowed again, oldest first."""
        return self._alias().holds

    def promote(self, model_id: str, reason: str, at: datetime, *, measured: str | None) -> None:
        """Make a model the current one; the same promotion again changes nothing.

        Args:
            measured: the model that it was proven against; None: the base model.

        Raises:
            NotApplicableError: another one serves by now, or the model is held.
            RegistryError: it is missing or was changed on disk.
        """
        with self.locked():
            alias = self._alias()
            serving = alias.promotions[-1].model_id if alias.promotions else None
            if serving == model_id:
                return
            if serving != measured:
                raise NotApplicableError(
                    f"{model_id} was measured against {measured or 'the base model'}, and "
                    f"{serving or 'the base model'} serves by now"
                )
            if held := next((each for each in alias.holds if each.model_id == model_id), None):
                raise NotApplicableError(
                    f"{model_id} was rolled back on {held.at:%Y-%m-%d} ({held.reason}); "
                    f"`ragwheel models allow {model_id}` lets it be promoted again"
                )
            self.verify(model_id)
            entry = Promotion(model_id=model_id, at=at, reason=reason)
            self._write(alias.model_copy(update={"promotions": (*alias.promotions, entry)}))

    def rollback(self, reason: str, at: datetime) -> tuple[str, str | None]:
        """Go back to what served before, even when the current model's folder is gone.

        The model is held: no verdict promotes it again before `allow`.

        Returns:
            Id of the model that no longer serves, and of the one that does; None: the base model.

        Raises:
            RegistryError: nothing was ever promoted, or the model before was changed on disk.
        """
        with self.locked():
            alias = self._alias()
            if not alias.promotions:
                raise RegistryError("nothing to roll back: the base model serves")
            *remaining, last = alias.promotions
            serving = remaining[-1].model_id if remaining else None
            if serving is not None:
                self.verify(serving)
            held = (*alias.holds, Hold(model_id=last.model_id, at=at, reason=reason))
            self._write(Alias(promotions=tuple(remaining), holds=held))
            return last.model_id, serving

    def allow(self, model_id: str) -> None:
        """Let a model that was rolled back be promoted again, if a gate proves it again.

        Raises:
            RegistryError: it is not held.
        """
        with self.locked():
            alias = self._alias()
            left = tuple(each for each in alias.holds if each.model_id != model_id)
            if left == alias.holds:
                known = ", ".join(each.model_id for each in alias.holds) or "none"
                raise RegistryError(f"model {model_id!r} is not held back (held: {known})")
            self._write(alias.model_copy(update={"holds": left}))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold `lock` for a moment's change; waits for others."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self.lock:
            yield

    def save_report(self, model_id: str, report: dict[str, object]) -> None:
        """Store what the gate measured; replaces an earlier report of the model."""
        path = self.root / "reports" / f"{model_id}.json"
        files.replace_file(path, orjson.dumps(report, option=orjson.OPT_INDENT_2))

    def report(self, model_id: str) -> dict[str, object] | None:
        """The stored report of a model, if there is one."""
        path = self.root / "reports" / f"{model_id}.json"
        return dict(orjson.loads(path.read_bytes())) if path.exists() else None

    def reported(self) -> list[str]:
        """Ids of all models with a report, pruned ones among them, sorted."""
        return sorted(path.stem for path in (self.root / "reports").glob("[!.]*.json"))

    def alias_as_json(self) -> bytes:
        """What serves and what did, as others read it at an artifact store."""
        return _pretty(self._alias())

    def take_alias(self, raw: bytes) -> None:
        """Make what was read at an artifact store the alias of this copy.

        Raises:
            RegistryError: it is no alias.
        """
        try:
            alias = Alias.model_validate_json(raw)
        except ValidationError as error:
            raise RegistryError(f"the alias that was read is none: {error}") from None
        with self.locked():
            self._write(alias)

    def _alias(self) -> Alias:
        path = self.root / CURRENT_FILE
        if not path.exists():
            return Alias()
        try:
            return Alias.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise RegistryError(f"{path} cannot be read: {error}") from None

    def _write(self, alias: Alias) -> None:
        files.replace_file(self.root / CURRENT_FILE, _pretty(alias))


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
