"""The data of one training cycle: all that a model can be made from again. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
from pydantic import TypeAdapter

from ragwheel.models.encoder import Side
from ragwheel.models.manifest import TrainConfig
from ragwheel.schemas import identity
from ragwheel.trainers.data import arrow
from ragwheel.trainers.data.card import DataCard, card_of
from ragwheel.trainers.data.clusters import normal_form
from ragwheel.trainers.data.evidence import Evidence, graders_of
from ragwheel.trainers.data.evidence import evidence as evidence_of
from ragwheel.trainers.data.examples import TrainingExample, build_examples
from ragwheel.trainers.data.records import Corpus, Grade, SampledQuery
from ragwheel.trainers.data.sides import table_of_sides
from ragwheel.trainers.data.split import Part, Sides


class Recipe(NamedTuple):
    """What makes a model of the data, besides the code.

    Attributes:
        base_model: as the setting names it; `base_fingerprint` says which weights that were.
        prompts: of the sides where the settings have one; the others are the model's own.
    """

    base_model: str
    base_fingerprint: str
    config: TrainConfig
    seed: int
    gate_share: float
    prompts: Mapping[Side, str] = {}


class Held(NamedTuple):
    """Evidence, and what is believed of the pair."""

    said: Evidence
    belief: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The data of one training cycle.

    Attributes:
        snapshot_id: digest of everything below but the card; equal data, equal id.
        queries: all that were sampled, sorted by hash.
        sides: of every query that was ever seen.
        grades: all that count, second looks and decoys included.
        evidence: one per pair, with the belief that the pair is truly relevant.
        train: examples to learn from.
        dev: examples that check a finished model, grades at their word; never learnt from.
        corpus: every chunk that could be retrieved, with its text.
    """

    snapshot_id: str
    queries: tuple[SampledQuery, ...]
    sides: Sides
    grades: tuple[Grade, ...]
    evidence: tuple[Held, ...]
    train: tuple[TrainingExample, ...]
    dev: tuple[TrainingExample, ...]
    corpus: Corpus = field(repr=False)
    recipe: Recipe
    card: DataCard

    @property
    def gate(self) -> tuple[SampledQuery, ...]:
        """Held-out queries: all that were sampled and not only those with a known positive.

        Keeping only the latter would hide what the incumbent never finds.
        """
        return self.of_part("gate")

    def of_part(self, part: Part) -> tuple[SampledQuery, ...]:
        """The sampled queries of a part."""
        return tuple(each for each in self.queries if self.sides.part(each.query_hash) == part)


def build_snapshot(
    queries: Sequence[SampledQuery],
    sides: Sides,
    grades: Sequence[Grade],
    believed: Callable[[str, str], float] | None,
    corpus: Corpus,
    recipe: Recipe,
    *,
    dropped: Mapping[str, int] | None = None,
    noise: Mapping[str, Mapping[str, float]] | None = None,
    endorsed: Set[tuple[str, str]] = frozenset(),
) -> Snapshot:
    """Turn what was read into what is learnt and what is held out.

    Args:
        sides: of all queries.
        grades: those of `current_grades`; never a judge's.
        believed: (query hash, chunk hash) → how likely the pair is relevant; what is learnt goes by
            it. None: grades are taken at their word, as they always are in dev examples, which
            compare systems and must not favour the one whose ranking the beliefs come from.
        dropped: why grades were left out before.
        noise: see `DataCard`.
        endorsed: see `build_examples`; not for dev examples, since only what production returned
            can be cited.
    """
    queries = tuple(sorted(queries, key=lambda each: each.query_hash))
    found = evidence_of(grades)
    flagged = {(each.query_hash, each.chunk_hash): float(each.grade >= 2) for each in found}

    def at_their_word(*pair: str) -> float:
        return flagged.get((pair[0], pair[1]), 0.0)

    believed = believed or at_their_word
    reasons = Counter(dropped or {})
    made = []
    for part, of_pair, agreed in (
        ("train", believed, endorsed),
        ("dev", at_their_word, frozenset[tuple[str, str]]()),
    ):
        members = [each for each in queries if sides.part(each.query_hash) == part]
        examples, why = build_examples(members, found, of_pair, corpus, sides.leader, agreed)
        made.append(examples)
        if part == "train":
            reasons += why
    train, dev = made
    held = tuple(Held(each, believed(each.query_hash, each.chunk_hash)) for each in found)
    rows = tuple(sorted(grades, key=_order))
    card = card_of(
        queries, sides, found, train, dev,
        graders=graders_of(grades), dropped=reasons, noise=noise or {}, endorsed=endorsed,
    )  # fmt: skip
    made_of = tables(queries, sides, rows, held, train, dev, corpus)
    snapshot_id = snapshot_digest(made_of, corpus, recipe)
    return Snapshot(snapshot_id, queries, sides, rows, held, train, dev, corpus, recipe, card)


def tables(
    queries: Sequence[SampledQuery],
    sides: Sides,
    grades: Sequence[Grade],
    evidence: Sequence[Held],
    train: Sequence[TrainingExample],
    dev: Sequence[TrainingExample],
    corpus: Corpus,
) -> dict[str, pa.Table]:
    """Name → table of everything in a snapshot that has rows; texts are not repeated."""
    return {
        "queries": arrow.table_of(queries, SampledQuery),
        "sides": table_of_sides(sides),
        "grades": arrow.table_of(grades, Grade),
        "evidence": arrow.table_of(evidence, Held),
        "train": arrow.table_of(train, TrainingExample),
        "dev": arrow.table_of(dev, TrainingExample),
        "corpus": pa.table({"chunk_hash": pa.array(corpus.chunk_hashes, pa.string())}),
    }


def snapshot_digest(made_of: Mapping[str, pa.Table], corpus: Corpus, recipe: Recipe) -> str:
    """The id of a snapshot; a chunk's hash stands for its text."""
    digests = [f"{name}:{arrow.digest(table)}" for name, table in sorted(made_of.items())]
    head = {**recipe._asdict(), "config": recipe.config.model_dump(), **corpus_head(corpus)}
    return identity.digest("snapshot", *digests, orjson.dumps(head, option=orjson.OPT_SORT_KEYS))


def corpus_head(corpus: Corpus) -> dict[str, Any]:
    """JSON values of what a corpus is besides its rows."""
    return {
        "indexes": [TypeAdapter(type(each)).dump_python(each) for each in corpus.indexes],
        "index_of_segment": dict(corpus.index_of_segment),
    }


def leaks(snapshot: Snapshot) -> list[str]:
    """What of the held-out part can be seen in the training part; empty when all is well."""
    held_out = {each.query_hash for each in snapshot.gate}
    held_out |= {each.query_hash for each in snapshot.dev}
    trained = {each.query_hash for each in snapshot.train}
    found = [f"query {query_hash} is trained and held out" for query_hash in trained & held_out]
    text_of = {each.query_hash: each.query for each in snapshot.queries}
    clusters = {snapshot.sides.leader(each) for each in trained}
    forms = {normal_form(text_of[each]) for each in trained}
    for other in held_out - trained:
        if (leader := snapshot.sides.leader(other)) in clusters:
            found.append(f"held-out query {other} is of cluster {leader}, which is trained")
        elif normal_form(text_of[other]) in forms:
            found.append(f"held-out query {other} is trained in another spelling")
    return sorted(found)


def _order(grade: Grade) -> tuple[str, ...]:
    return (
        grade.query_hash, grade.chunk_hash, grade.role, grade.source, grade.grader_id,
        grade.rubric_version, grade.graded_at.isoformat(),
    )  # fmt: skip
