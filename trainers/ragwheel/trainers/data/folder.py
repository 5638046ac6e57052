"""A snapshot as a folder: Parquet and a manifest, written once, verified when read.

    <root>/<snapshot id>/manifest.json                 origin, counts, digests of the files
    <root>/<snapshot id>/{queries,sides,grades,evidence,train,dev,corpus}.parquet
    <root>/texts/<digest of the file>.parquet          texts of chunks, shared by all snapshots

A text is stored once, in the pack of the first snapshot that has it: where a hundred chunks are
new, a snapshot adds a hundred texts. The id is a digest of values, not of files: another version of
the Parquet writer makes other files and the same id.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from ragwheel.backends import files
from ragwheel.models.manifest import MANIFEST_FILE, TrainConfig
from ragwheel.models.retention import TEXTS
from ragwheel.schemas.errors import TerminalError
from ragwheel.trainers.data import arrow
from ragwheel.trainers.data.card import DataCard
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus, Grade, IndexSlice, SampledQuery
from ragwheel.trainers.data.sides import sides_of_table
from ragwheel.trainers.data.snapshot import (
    Held,
    Recipe,
    Snapshot,
    corpus_head,
    snapshot_digest,
    tables,
)

#: Below a model directory.
SNAPSHOTS = "snapshots"
_FORMAT = 1
#: Texts of one pack: what is held in memory twice while it is written.
_PACK_TEXTS = 50_000


class SnapshotError(TerminalError):
    """A snapshot cannot be used; the message names the file and the fix."""


@dataclass(frozen=True, slots=True)
class SnapshotLine:
    """A snapshot, as its manifest has it."""

    snapshot_id: str
    base_model: str
    queries: int
    examples: int
    grades: int
    chunks: int


def write(snapshot: Snapshot, root: Path) -> Path:
    """Store a snapshot below `root`; nothing is done if it is there.

    Returns:
        Its folder, which is whole and on the disk.
    """
    target = root / snapshot.snapshot_id
    if (target / MANIFEST_FILE).exists():
        return target
    packs = _store_texts(snapshot.corpus, root / TEXTS)
    made_of = tables(
        snapshot.queries, snapshot.sides, snapshot.grades, snapshot.evidence,
        snapshot.train, snapshot.dev, snapshot.corpus,
    )  # fmt: skip
    with files.staged_folder(root) as folder:
        digests = {}
        for name, table in made_of.items():
            path = folder / f"{name}.parquet"
            pq.write_table(table, path, compression="zstd")
            digests[path.name] = _digest_of_file(path)
        manifest = {
            "format": _FORMAT,
            "snapshot_id": snapshot.snapshot_id,
            "recipe": {**snapshot.recipe._asdict(), "config": snapshot.recipe.config.model_dump()},
            "corpus": {**corpus_head(snapshot.corpus), "chunks": len(snapshot.corpus.texts)},
            "files": digests,
            "texts": packs,
            "card": snapshot.card.as_json(),
        }
        manifest = {"digest": _digest_of_manifest(manifest), **manifest}
        (folder / MANIFEST_FILE).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        if target.exists():  # without a manifest: what a deletion left
            shutil.rmtree(target)
        files.put_in_place(folder, target)
    return target


def read(folder: Path) -> Snapshot:
    """The snapshot in a folder, equal to the one that was written.

    Raises:
        SnapshotError: there is none, or a file is missing or damaged.
    """
    manifest = _manifest(folder)
    try:
        made_of = _tables(folder, manifest)
        corpus = _corpus(folder, manifest, made_of["corpus"])
        recipe = Recipe(**{**manifest["recipe"], "config": _config(manifest)})
        snapshot = Snapshot(
            manifest["snapshot_id"],
            tuple(arrow.values_of(made_of["queries"], SampledQuery)),
            sides_of_table(made_of["sides"]),
            tuple(arrow.values_of(made_of["grades"], Grade)),
            tuple(arrow.values_of(made_of["evidence"], Held)),
            tuple(arrow.values_of(made_of["train"], TrainingExample)),
            tuple(arrow.values_of(made_of["dev"], TrainingExample)),
            corpus,
            recipe,
            TypeAdapter(DataCard).validate_python(manifest["card"]),
        )
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise _damaged(folder / MANIFEST_FILE, str(error)) from None
    if snapshot_digest(made_of, corpus, recipe) != folder.name:
        raise _damaged(folder / MANIFEST_FILE, "the id is not that of the content")
    return snapshot


def read_tables(folder: Path) -> dict[str, pa.Table]:
    """The tables in a folder as they are, and `texts`: chunk_hash and text of each chunk, once.

    Raises:
        SnapshotError: there is none, or a file is missing or damaged.
    """
    manifest = _manifest(folder)
    found = _tables(folder, manifest)
    wanted = found["corpus"].column("chunk_hash").unique()
    return {**found, "texts": pa.concat_tables(_packs(folder, manifest, wanted))}


def find(root: Path, snapshot_id: str) -> Path:
    """The folder of a snapshot, by its id or a beginning of it that no other has.

    Raises:
        SnapshotError: there is none, or there are several.
    """
    known = [each.snapshot_id for each in stored(root)]
    found = [each for each in known if each.startswith(snapshot_id)] if snapshot_id else []
    if len(found) != 1:
        problem = f"{len(found)} snapshots begin with" if found else "no snapshot is called"
        raise SnapshotError(
            f"{problem} {snapshot_id!r} in {root} (known: {', '.join(known) or 'none'}); see "
            "`ragwheel export --list`"
        )
    return root / found[0]


def stored(root: Path) -> list[SnapshotLine]:
    """All snapshots below `root`, by id.

    Raises:
        SnapshotError: a manifest is damaged.
    """
    folders = sorted(path.parent for path in root.glob(f"[!.]*/{MANIFEST_FILE}"))
    return [_line(_manifest(folder)) for folder in folders]


def _line(manifest: Mapping[str, Any]) -> SnapshotLine:
    card = manifest["card"]
    return SnapshotLine(
        manifest["snapshot_id"], manifest["recipe"]["base_model"], sum(card["queries"].values()),
        card["examples"]["train"], sum(card["grades"].values()), manifest["corpus"]["chunks"],
    )  # fmt: skip


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    try:
        manifest: dict[str, Any] = orjson.loads(path.read_bytes())
        if manifest["format"] != _FORMAT:
            raise _damaged(path, f"its format is {manifest['format']}, not {_FORMAT}")
        if manifest.pop("digest") != _digest_of_manifest(manifest):
            raise _damaged(path, "its digest is not that of its content")
    except FileNotFoundError:
        raise SnapshotError(f"{folder} holds no snapshot; see `ragwheel export --list`") from None
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from None
    return manifest


def _digest_of_manifest(manifest: Mapping[str, Any]) -> str:
    return blake2b(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def _config(manifest: Mapping[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate(manifest["recipe"]["config"])


def _tables(folder: Path, manifest: Mapping[str, Any]) -> dict[str, pa.Table]:
    return {
        name.removesuffix(".parquet"): _verified_table(folder / name, digest)
        for name, digest in manifest["files"].items()
    }


def _packs(folder: Path, manifest: Mapping[str, Any], wanted: pa.Array) -> Iterator[pa.Table]:
    """Hashes and texts of the wanted chunks."""
    yield pa.table({"chunk_hash": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    for name in manifest["texts"]:
        pack = _verified_table(folder.parent / TEXTS / name, Path(name).stem)
        yield pack.filter(pc.is_in(pack.column("chunk_hash"), wanted))


def _corpus(folder: Path, manifest: Mapping[str, Any], rows: pa.Table) -> Corpus:
    hashes = rows.column("chunk_hash").to_pylist()
    text_of: dict[str, str] = {}
    for pack in _packs(folder, manifest, rows.column("chunk_hash").unique()):
        hash_and_text = (pack.column(name).to_pylist() for name in ("chunk_hash", "text"))
        text_of.update(zip(*hash_and_text, strict=True))
    if missing := set(hashes) - text_of.keys():
        raise ValueError(f"{len(missing)} texts of chunks are in none of its packs")
    head = manifest["corpus"]
    return Corpus(
        tuple(hashes),
        tuple(map(text_of.__getitem__, hashes)),
        TypeAdapter(tuple[IndexSlice, ...]).validate_python(head["indexes"]),
        head["index_of_segment"],
    )


def _store_texts(corpus: Corpus, packs: Path) -> list[str]:
    """Names of the packs that hold the texts; what no pack has is added."""
    missing = dict(zip(corpus.chunk_hashes, corpus.texts, strict=True))
    used = []
    for path in sorted(packs.glob("[!.]*.parquet")):
        if _digest_of_file(path) != path.stem:
            continue  # damaged: its texts are stored again, under its name if they are the same
        held = pq.read_table(path, columns=["chunk_hash"]).column("chunk_hash").to_pylist()
        if found := missing.keys() & set(held):
            used.append(path.name)
        for chunk_hash in found:
            del missing[chunk_hash]
    left = sorted(missing)
    for at in range(0, len(left), _PACK_TEXTS):
        hashes = left[at : at + _PACK_TEXTS]
        table = pa.table({
            "chunk_hash": pa.array(hashes, pa.string()),
            "text": pa.array(map(missing.__getitem__, hashes), pa.string()),
        })  # fmt: skip
        out = pa.BufferOutputStream()
        pq.write_table(table, out, compression="zstd", use_dictionary=False)
        content = out.getvalue().to_pybytes()
        name = f"{_digest(content)}.parquet"
        files.replace_file(packs / name, content)
        used.append(name)
    return sorted(used)


def _verified_table(path: Path, digest: str) -> pa.Table:
    if not path.exists():
        raise _damaged(path, "it is missing")
    if _digest_of_file(path) != digest:
        raise _damaged(path, "its bytes are not those that were written")
    return pq.read_table(path)


def _digest_of_file(path: Path) -> str:
    return _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16, person=b"snapshot").hexdigest()


def _damaged(path: Path, reason: str) -> SnapshotError:
    return SnapshotError(
        f"{path} is damaged: {reason}; restore it from a backup, or remove the folder and train "
        "again from the tables"
    )
