"""The first step of the ladder: what is in service, measured by the labels that there are.

Nothing is trained and nobody is asked. What production returned, keyword search and the base model
are measured on the labeled queries, and the report says what that does not show. Labels are of what
production returned, so recall is *of what production found*: another system can be as good with
chunks that nobody graded. Hence no decision follows from this report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ragwheel.backends import files
from ragwheel.models.manifest import TrainConfig
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.contest import INCUMBENT, METRIC_DEPTH, asked_of, gate_queries
from ragwheel.trainers.data.evidence import Evidence, current_grades, evidence
from ragwheel.trainers.data.records import Corpus, Grade, SampledQuery
from ragwheel.trainers.data.sides import SIDES_FILE, read_sides
from ragwheel.trainers.data.split import assign_sides
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof import evaluation
from ragwheel.trainers.proof.evaluation import (
    ALL_SEGMENTS,
    DELTA,
    Figure,
    GateQueries,
    JudgedPair,
    JudgedShare,
    Measurement,
)
from ragwheel.trainers.proof.guards import GateRules
from ragwheel.trainers.proof.power import outlook
from ragwheel.trainers.reading import NotEnoughDataError, read_corpus
from ragwheel.trainers.systems.contracts import Retriever
from ragwheel.trainers.systems.lineup import Lineup, line_up

#: In the model directory; of the newest report alone.
EVALUATION_FILE = "evaluation.json"
#: Decoys below which nobody knows how often the grader is wrong.
_ENOUGH_DECOYS = 30
_SHOWN = (("recall", 10), ("ndcg", 10), ("mrr", 10))


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What the labels say of what is in service. Holds no text of a query or chunk.

    Attributes:
        answered: queries with a relevant label.
        queries: those that were measured; `clusters` of near-duplicates among them.
        reference: the system that differences are to: production where its rankings are logged.
        figures: metrics per part and system with 95 % intervals over clusters, and differences.
        coverage: per system, judged@10 and what the unjudged could change.
        unsaid: what cannot be said yet, a sentence each.
    """

    at: datetime
    answered: int
    queries: int
    clusters: int
    reference: str
    figures: tuple[Figure, ...]
    coverage: Mapping[str, JudgedShare]
    unsaid: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report for a terminal."""
        said = [
            f"{self.queries:,} labeled queries in {self.clusters:,} clusters, {self.at:%Y-%m-%d}; "
            f"differences are to {self.reference}"
        ]
        whole = {
            (each.system, each.metric, each.k): each.interval
            for each in self.figures
            if each.segment == ALL_SEGMENTS
        }
        for system, share in self.coverage.items():
            values = ", ".join(
                f"{metric}@{k} {of.value:.2f} [{of.low:.2f}, {of.high:.2f}]"
                for metric, k in _SHOWN
                for of in [whole[system, metric, k]]
            )
            said.append(f"{system:<10} {values}, judged@{METRIC_DEPTH} {share.judged:.2f}")
        return said + [f"not known  {each}" for each in self.unsaid]


def read_evaluation(model_dir: Path) -> LabelReport | None:
    """The newest report; None before the first, or where the file is damaged."""
    try:
        return TypeAdapter(LabelReport).validate_json((model_dir / EVALUATION_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def evaluate_labels(parts: Parts, settings: TrainerSettings) -> LabelReport:
    """Measure what is in service by the labels, and keep the report in the model directory.

    The vectors that it needs are cached, and the first training needs the same.

    Raises:
        NotEnoughDataError: no chunk, or no label of a chunk that is in the index.
        ConfigError: the base model cannot be loaded.
        UnavailableError: ClickHouse does not answer.
    """
    corpus, logged = read_corpus(parts.store), parts.store.logged_rankings()
    lineup = line_up(
        settings, TrainConfig(max_seq_length=settings.max_seq_length), parts.registry, parts.cache,
        corpus, logged, lambda *at: parts.progress("embed", *at), parts.tell,
    )  # fmt: skip
    queries = parts.store.sampled_queries()
    grades, _ = current_grades(
        parts.store.grades(), {each.query_hash: each.segment for each in queries}
    )
    known = _known_pairs(queries, evidence(grades), corpus)
    labeled = [each for each in queries if known.get(each.query_hash)]
    embed = partial(parts.cache.embed, lineup.base, side="query")
    vectors = embed([each.query for each in queries])
    # Dealt and not written: nothing is held out by a report, but paraphrases are one observation.
    sides = assign_sides(
        queries, vectors, settings.gate_share, read_sides(settings.model_dir / SIDES_FILE)
    )
    of, systems = gate_queries(labeled, sides), _systems(lineup)
    asked = [asked_of(each) for each in labeled]
    measured = evaluation.score(
        {name: each.rank(asked, METRIC_DEPTH).rows for name, each in systems.items()},
        [known[each.query_hash] for each in labeled],
        of,
    )
    if not len(measured.queries.segments):
        raise NotEnoughDataError("no chunk of the index has a relevant label: nothing to measure")
    reference = next(iter(systems))
    figures = evaluation.figures(measured, reference, "", settings.train_seed)
    report = LabelReport(
        at=parts.now(),
        answered=parts.store.count_answered(),
        queries=len(measured.queries.segments),
        clusters=len(np.unique(measured.queries.clusters)),
        reference=reference,
        figures=tuple(figures),
        coverage=measured.coverage,
        unsaid=tuple(_unsaid(measured, figures, reference, of, grades, settings)),
    )
    settings.model_dir.mkdir(parents=True, exist_ok=True)
    files.replace_file(
        settings.model_dir / EVALUATION_FILE, TypeAdapter(LabelReport).dump_json(report, indent=1)
    )
    return report


def _systems(lineup: Lineup) -> dict[str, Retriever]:
    """Name → system; first the one that differences are to."""
    others = dict(lineup.others)
    observed = others.pop("observed", None)
    found = {"observed": observed} if observed is not None else {}
    # Where the base model serves it is no system of its own.
    name = INCUMBENT if "base" in others else "base"
    return {**found, name: lineup.incumbent, **others}


def _known_pairs(
    queries: Sequence[SampledQuery], said: Sequence[Evidence], corpus: Corpus
) -> dict[str, dict[int, JudgedPair]]:
    """Query hash → corpus row → its grade, at its word: beliefs come from production's ranking."""
    segment_of = {each.query_hash: each.segment for each in queries}
    found: dict[str, dict[int, JudgedPair]] = {}
    for each in said:
        row = corpus.row_of(segment_of[each.query_hash], each.chunk_hash)
        if row is not None:
            found.setdefault(each.query_hash, {})[row] = JudgedPair.certain(each.grade)
    return found


def _unsaid(
    measured: Measurement,
    figures: Sequence[Figure],
    reference: str,
    labeled: GateQueries,
    grades: Sequence[Grade],
    settings: TrainerSettings,
) -> list[str]:
    """What these labels do not show, a sentence each."""
    rules = GateRules(min_queries=settings.gate_min_queries)
    whole, *segments = outlook(labeled, rules)
    said = [
        "what production never returned: nobody graded it, so recall is of what production found"
    ]
    if reference != "observed":
        said.append("what production returned: no ranking of a stage with an encoder is logged")
    if missing := rules.min_queries - whole.queries:
        said.append(
            f"whether a candidate may be promoted: a gate wants {rules.min_queries:,} held-out "
            f"queries, and {max(0, missing):,} more would have to be labeled even if all were held "
            f"out; a gain below {100 * whole.detectable:.0f} points would go unseen"
        )
    for each in figures:
        about = each.metric, each.k, each.segment
        if about != (*_SHOWN[0], ALL_SEGMENTS) or not each.system.startswith(DELTA):
            continue
        if each.interval.low <= 0 <= each.interval.high:
            name = each.system.removeprefix(f"{DELTA}:")
            said.append(f"whether {name} finds more or less than {reference}")
    for name, share in measured.coverage.items():
        if share.judged < rules.min_judged:
            said.append(
                f"how good {name} is: {share.judged:.0%} of its first {METRIC_DEPTH} are graded, "
                f"recall@{METRIC_DEPTH} is anything from {share.low:.2f} to {share.high:.2f}"
            )
    small = [each for each in segments if each.queries < rules.min_segment_queries]
    said += [
        f"anything of segment {each.part}: {each.queries} labeled queries, "
        f"{rules.min_segment_queries - each.queries} more are needed"
        for each in small
    ]
    decoys = sum(each.role == "decoy" for each in grades)
    if decoys < _ENOUGH_DECOYS:
        said.append(
            f"how often the grader is wrong: {decoys} decoys, {_ENOUGH_DECOYS - decoys} more are "
            "needed; grades are taken at their word"
        )
    return said
