"""Which rubrics there are, and which grades which segment: the packaged ones and a user's folder.

The folder holds rubric files (`*.toml`), each claiming its `segments`, and perhaps `segments.toml`,
which gives segments to rubrics by name, shipped ones among them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path

from ragwheel.grading.asking.rubric import SHIPPED, Rubric, Rubrics
from ragwheel.grading.asking.rubric_file import parse
from ragwheel.schemas.errors import ConfigError

#: Name of the file of a folder that assigns; a table of segment = "rubric".
ASSIGNMENTS = "segments.toml"


def shipped_texts() -> dict[str, str]:
    """The files that come with the package: name of the rubric → text."""
    folder = resources.files(__package__).joinpath("rubrics")
    return {
        entry.name.removesuffix(".toml"): entry.read_text("utf-8")
        for entry in sorted(folder.iterdir(), key=lambda each: each.name)
        if entry.name.endswith(".toml")
    }


def known_rubrics(folder: Path | None = None) -> dict[str, Rubric]:
    """Every rubric by its name: the shipped ones, and the folder's, which replace their namesakes.

    Raises:
        ConfigError: a file cannot be read or is not a rubric, or two have one name.
    """
    known = {name: parse(text, SHIPPED) for name, text in shipped_texts().items()}
    own: dict[str, Rubric] = {}
    for path in own_files(folder):
        rubric = parse(read_text(path), str(path))
        other = own.setdefault(rubric.name, rubric)
        if other is not rubric:
            raise ConfigError(f"{other.source} and {path} are both named {rubric.name!r}")
    return known | own


def own_files(folder: Path | None) -> list[Path]:
    """The rubric files of a folder.

    Raises:
        ConfigError: the folder does not exist.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise ConfigError(f"RAGWHEEL_RUBRIC_DIR={folder} is not a folder; create it or unset it")
    return [path for path in sorted(folder.glob("*.toml")) if path.name != ASSIGNMENTS]


def load(folder: Path | None = None) -> Rubrics:
    """The packaged rubrics, with those of `folder` laid over them.

    A segment that the folder claims or assigns is no more the shipped rubric's.

    Raises:
        ConfigError: a file cannot be read or is not a rubric, a claim has no rubric or two, or a
            rubric of the folder grades nothing; names file, field and fix.
    """
    known = known_rubrics(folder)
    assigned = _assigned(folder, known)
    own = [each for each in known.values() if each.source != SHIPPED]
    for rubric in own:
        if not rubric.segments and rubric not in assigned.values():
            raise ConfigError(
                f'{rubric.source}: it grades no segment; write segments = ["…"] into it, or '
                f'"…" = "{rubric.name}" into {ASSIGNMENTS} beside it'
            )
    claimed = {*assigned, *(segment for rubric in own for segment in rubric.segments)}
    shipped = [
        replace(each, segments=tuple(name for name in each.segments if name not in claimed))
        for each in known.values()
        if each.source == SHIPPED
    ]
    return Rubrics([*shipped, *own], assigned)


def read_text(path: Path) -> str:
    """The text of a file of the folder.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"rubric {path} cannot be read: {error}") from None


def _assigned(folder: Path | None, known: Mapping[str, Rubric]) -> dict[str, Rubric]:
    path = folder / ASSIGNMENTS if folder else None
    if path is None or not path.exists():
        return {}
    try:
        raw = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    for segment, name in raw.items():
        if not isinstance(name, str) or name not in known:
            raise ConfigError(
                f"{path}: segment {segment!r} is given to {name!r}; rubrics are {', '.join(known)}"
            )
    return {segment: known[name] for segment, name in raw.items()}
