"""Where promoted models lie for whoever serves them: any URL that fsspec knows.

    <url>/models/<model id>/… manifest.json    written once; the manifest comes last
    <url>/current.json                          the alias, after its event

The layout is the registry's own, so the model directory is an artifact store without a copy. A
folder without a manifest is half an upload and no model; whatever is fetched is compared with its
content address before anybody can load it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragwheel.backends import files
from ragwheel.models.manifest import MANIFEST_FILE
from ragwheel.models.registry import (
    CURRENT_FILE,
    MODELS_FOLDER,
    ModelRegistry,
    RegisteredModel,
    RegistryError,
    content_address,
)
from ragwheel.schemas.errors import ConfigError, DependencyError, UnavailableError

#: Scheme → what `pip install` makes it work; fsspec itself brings files and memory.
PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "abfss": "adlfs", "hf": "huggingface_hub",
}  # fmt: skip
_MODEL_ID = re.compile("[0-9a-f]{16}")


class ArtifactError(RegistryError):
    """What lies at the artifact store cannot be used; the message names the model and the fix."""


class ArtifactStore:
    """Models at one URL. Any number of processes read and write; equal content is one object."""

    def __init__(self, url: str) -> None:
        """Opens nothing yet but the file system of the scheme.

        Args:
            url: `s3://bucket/path`, `gs://…`, `az://…`, `hf://…`, `file:///path`, or a folder.

        Raises:
            ConfigError: no file system of that scheme is known.
            DependencyError: its package is not installed; names the pip install.
        """
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        scheme, colon, _ = url.partition("://")
        if not colon:
            url = f"file://{Path(url).expanduser().absolute()}"
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, **_uncached(scheme if colon else ""))
        except ImportError:
            package = PACKAGES.get(scheme, f"the fsspec package of {scheme}")
            raise DependencyError(package, f"pip install {package}") from None
        except ValueError as error:
            raise ConfigError(
                f"RAGWHEEL_ARTIFACTS: {url!r} cannot be opened ({error}): use a folder, file://, "
                "s3://, gs://, az:// or hf://"
            ) from None
        self._local = isinstance(self._fs, LocalFileSystem)
        #: Absolute, without a slash at the end.
        self.url = url.rstrip("/")

    def url_of(self, model_id: str) -> str:
        """Absolute URL of a model's folder, whether or not it is there."""
        return f"{self.url}/{MODELS_FOLDER}/{model_id}"

    def is_at(self, folder: Path) -> bool:
        """Whether this store is that folder itself."""
        return self._local and Path(self._root).resolve() == folder.resolve()

    def has(self, model_id: str) -> bool:
        """Whether a whole model is there.

        Raises:
            UnavailableError: the store does not answer.
        """
        with self._answering():
            return bool(self._fs.exists(self._at(model_id, MANIFEST_FILE)))

    def put(self, model: RegisteredModel) -> str:
        """Store a model; once more costs one question. Returns its URL.

        Raises:
            UnavailableError: the store does not take it; half of it may be there and is no model.
        """
        if not self.has(model.model_id):
            names = [each for each in model.folder.rglob("*") if each.is_file()]
            # The manifest last: whoever sees it sees a whole model.
            for path in sorted(names, key=lambda each: (each.name == MANIFEST_FILE, each)):
                name = path.relative_to(model.folder).as_posix()
                self._write(self._at(model.model_id, name), path)
        return self.url_of(model.model_id)

    def fetch(self, model_id: str, registry: ModelRegistry) -> RegisteredModel:
        """A model in a local registry, fetched unless it is there unchanged.

        Raises:
            ArtifactError: there is no such model at the store, or its bytes are not those that it
                was registered with. Nothing is kept of it.
            UnavailableError: the store does not answer.
        """
        if not _MODEL_ID.fullmatch(model_id):
            raise ArtifactError(f"{model_id!r} is no model id: 16 hexadecimal digits are one")
        if model_id in registry.ids():
            try:
                registry.verify(model_id)
                return registry.get(model_id)
            except RegistryError:  # damaged here: fetched again
                registry.discard(model_id)
        if not self.has(model_id):
            raise ArtifactError(
                f"no model {model_id!r} at {self.url}: is RAGWHEEL_ARTIFACTS the same as the "
                "trainer's? `ragwheel models` lists what was trained"
            )
        models = registry.root / MODELS_FOLDER
        with files.staged_folder(models) as staged:
            source = self._at(model_id)
            with self._answering():
                for path in self._fs.find(source):
                    target = staged / str(path)[len(source) :].lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._fs.get_file(path, str(target))
            if content_address(staged) != model_id:
                raise ArtifactError(
                    f"model {model_id} at {self.url_of(model_id)} was changed: its content has "
                    "another address. Remove it there; the trainer's next promotion, or `ragwheel "
                    f"models promote {model_id}`, stores it again"
                )
            registry.take_in(staged, model_id)
        return registry.get(model_id)

    def current(self) -> bytes | None:
        """The alias as it was last written, JSON; None where none was.

        Raises:
            UnavailableError: the store does not answer.
        """
        with self._answering():
            try:
                return bytes(self._fs.cat_file(f"{self._root}/{CURRENT_FILE}"))
            except FileNotFoundError:
                return None

    def point(self, alias: bytes) -> None:
        """Write the alias, at once; a reader sees the old one or this one.

        Raises:
            UnavailableError: the store does not take it.
        """
        path = f"{self._root}/{CURRENT_FILE}"
        if self._local:
            files.replace_file(Path(path), alias)
            return
        with self._answering():
            self._fs.pipe_file(path, alias)

    def _at(self, model_id: str, name: str = "") -> str:
        return f"{self._root}/{MODELS_FOLDER}/{model_id}" + (f"/{name}" if name else "")

    def _write(self, target: str, source: Path) -> None:
        if self._local:
            files.replace_file(Path(target), source.read_bytes())
            return
        with self._answering():
            self._fs.put_file(str(source), target)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        # Each scheme's library has errors of its own, and they are no OSError in common.
        except Exception as error:  # noqa: BLE001
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise UnavailableError(
                f"the artifact store {self.url} does not answer ({type(error).__name__}: {reason})"
                ": check RAGWHEEL_ARTIFACTS and the credentials of its scheme"
            ) from None


def artifacts_of(url: str, model_dir: Path) -> ArtifactStore:
    """The store that a setting names; where it is empty, the model directory."""
    return ArtifactStore(url or str(model_dir))


def _uncached(scheme: str) -> dict[str, Any]:
    """Listings must be of now: another process writes what this one looks for."""
    return {"use_listings_cache": False} if scheme in PACKAGES and scheme != "hf" else {}
