"""Does a verdict mean what it says? Gates by simulation, where the truth is known.

    python bench/gate.py [--trials 400]

False promotions of an equal candidate, of one that ruins a segment, and how often a true gain is
promoted, beside the bars and beside the plain rule (the lower 95 % bound of an ordinary bootstrap
above zero, no segment proven worse). Standard errors of a 5 % rate are 1.1 points at 400 trials.
`tests/rigs/gate_world.py` says what is simulated.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# The rigs are not installed; the benchmarks and the tests share them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.rigs.dev_world import dev_lists
from tests.rigs.gate_world import Gate, discordant, measured, simulate

from ragwheel.measuring.intervals import intervals, resampled_means
from ragwheel.measuring.nearest import rank
from ragwheel.measuring.proofs import holm
from ragwheel.trainers.proof.equivalence import check_equivalence
from ragwheel.trainers.proof.evaluation import (
    RECALL_AT_10,
    GateQueries,
    JudgedPair,
    Measurement,
    score,
)
from ragwheel.trainers.proof.gate import decide
from ragwheel.trainers.proof.guards import GateRules
from ragwheel.trainers.proof.looks import PastGate, alpha_left

RULES = GateRules(resamples=2_000)
LIMIT = 0.05
Segments = NDArray[np.object_]


def plain_rule(found: Measurement, seed: int) -> bool:
    """Promotion by an ordinary bootstrap and no proven loss."""
    delta = (found.values["candidate"] - found.values["incumbent"])[:, RECALL_AT_10]
    if len(delta) < RULES.min_queries or _level(delta, seed, 0.05) <= 0:
        return False
    names = found.queries.segments
    parts = [delta[names == name] for name in sorted(set(names.tolist()))]
    losses = [
        float((resampled_means(part[:, None], seed, RULES.resamples) >= 0).mean())
        for part in parts
        if len(part) >= 10
    ]
    return not bool(holm(losses, 0.05).any())


def _level(delta: NDArray[np.float64], seed: int, share: float) -> float:
    return float(np.quantile(resampled_means(delta[:, None], seed, RULES.resamples), share))


def rates(make: Callable[[], Gate], trials: int, alpha: float = 0.05) -> tuple[Counter[str], float]:
    """Verdicts over many gates, and how often the plain rule promotes."""
    actions: Counter[str] = Counter()
    plain = 0
    for trial in range(trials):
        found = measured(make())
        actions[decide(found, RULES, seed=trial, alpha=alpha).action] += 1
        plain += plain_rule(found, trial)
    return actions, plain / trials


def bar(name: str, share: float, plain: float, trials: int) -> bool:
    """Print a rate of false promotions beside its bar; noise of two standard errors is allowed."""
    holds = share <= LIMIT + 2 * math.sqrt(LIMIT * (1 - LIMIT) / trials)
    print(
        f"  {'ok  ' if holds else 'MISS'} {name:<46}{share:7.1%}   plain {plain:6.1%}", flush=True
    )
    return holds


def equal_candidates(trials: int) -> list[bool]:
    """Nothing is gained, hence every promotion is false; the level is that of a single gate."""
    print(f"\nequal candidate, one gate at a level of 5 % (bar: promoted <= {LIMIT:.0%})")
    held = []
    for queries in (250, 1_000):
        rng = np.random.default_rng(queries)
        actions, plain = rates(partial(simulate, rng, queries), trials)
        held.append(bar(f"i.i.d., {queries} queries", actions["promoted"] / trials, plain, trials))
    for size in (2, 4, 8):
        rng = np.random.default_rng(size)
        actions, plain = rates(partial(simulate, rng, 300, cluster_size=size), trials)
        name = f"paraphrase clusters of mean {size}, 300 queries"
        held.append(bar(name, actions["promoted"] / trials, plain, trials))
    for differ in (3, 4, 7, 12):
        rng = np.random.default_rng(differ)
        actions, plain = rates(partial(discordant, rng, 250, differ), 2 * trials)
        name = f"{differ} discordant of 250 queries"
        held.append(bar(name, actions["promoted"] / (2 * trials), plain, 2 * trials))
    return held


def series_of_gates(trials: int) -> list[bool]:
    """At least one false promotion in ten gates."""
    print(f"\nequal candidates, ten gates in a row (bar: at least one promoted <= {LIMIT:.0%})")
    held = []
    for fresh in (False, True):
        ours = plain = 0
        for number in range(trials):
            past: list[PastGate] = []
            candidate = np.random.default_rng([number, 1])
            promoted = promoted_plain = False
            for look in range(10):
                rng = np.random.default_rng([number, 2, look if fresh else 0])
                found = measured(simulate(rng, 300, candidate=candidate))
                asked = [f"{look if fresh else 0}-{each}" for each in range(300)]
                left = alpha_left(past, asked, RULES.alpha)
                verdict = decide(found, RULES, seed=look, alpha=left.alpha)
                promoted |= verdict.action == "promoted"
                promoted_plain |= plain_rule(found, look)
                past.append(PastGate(str(look), False, frozenset(asked)))
            ours, plain = ours + promoted, plain + promoted_plain
        name = "fresh queries each time" if fresh else "the same 300 queries"
        held.append(bar(name, ours / trials, plain / trials, trials))
    return held


def unjudged_results(trials: int) -> bool:
    """A quarter of what only the candidate finds has no judgment."""
    print(f"\nequal candidate, a quarter of its new results unjudged (bar: <= {LIMIT:.0%})")
    rng = np.random.default_rng(3)
    ours = plain = 0
    for trial in range(trials):
        found = _with_holes(rng)
        ours += decide(found, RULES, seed=trial).action == "promoted"
        plain += plain_rule(found, trial)
    return bar("lists of 20 of 60 chunks, 4 relevant", ours / trials, plain / trials, trials)


def _with_holes(rng: np.random.Generator) -> Measurement:
    quality = rng.standard_normal((250, 60)) + 2.0 * (np.arange(60) < 4)
    rankings = {
        name: np.argsort(-(quality + 0.7 * rng.standard_normal((250, 60))), axis=1)[:, :20]
        for name in ("incumbent", "candidate")
    }
    judged = []
    for before, after in zip(*rankings.values(), strict=True):
        new = set(after.tolist()) - set(before.tolist())
        known = set(before.tolist()) | {row for row in new if rng.random() >= 0.25}
        judged.append({row: JudgedPair.certain(3 if row < 4 else 0) for row in known})
    return score(rankings, judged, GateQueries.of(["all"] * 250))


def ruined_segments(trials: int) -> list[bool]:
    """The candidate gains everywhere but in one segment, where it loses ten points."""
    print(
        "\na segment truly loses 10 points, the others gain 8 (500 queries; bar: promoted <= 5 %)"
    )
    held = []
    for queries in (9, 20, 40, 80):
        segments = np.array(["bad"] * queries + ["good"] * (500 - queries), object)
        gain = np.where(segments == "bad", -0.1, 0.08)
        rng = np.random.default_rng(queries)
        actions, plain = rates(partial(simulate, rng, 500, gain=gain, segments=segments), trials)
        share = actions["promoted"] / trials
        name = f"{queries} queries ({actions['shadow'] / trials:.0%} shadow)"
        if queries >= RULES.min_segment_queries:
            held.append(bar(name, share, plain, trials))
        else:
            print(f"       {name:<46}{share:7.1%}   plain {plain:6.1%}   named as unguarded")
    return held


def power(trials: int) -> None:
    """How often a true gain is promoted."""
    print("\ntrue gain promoted (first look, hence a level of 2.5 %; then the tenth on fresh ones)")
    print(f"  {'queries, segments':<28}{'gain':>6}{'look 1':>9}{'look 10':>9}{'plain':>9}")
    for queries in (200, 500, 1_000):
        for count in (1, 5, 10):
            for gain in (0.03, 0.05, 0.10):
                rng = np.random.default_rng([queries, count])
                make = _segmented(rng, queries, count, gain)
                first, plain = rates(make, trials, alpha=0.025)
                late, _ = rates(make, trials, alpha=0.05 / 40)
                name = f"{queries}, {count} (Zipf)" if count > 1 else f"{queries}, 1"
                print(
                    f"  {name:<28}{gain:>6.0%}{first['promoted'] / trials:>9.0%}"
                    f"{late['promoted'] / trials:>9.0%}{plain:>9.0%}",
                    flush=True,
                )


def power_in_clusters(trials: int) -> None:
    """The same where queries come as paraphrases."""
    for size in (2, 4):
        for gain in (0.05, 0.10):
            make = partial(
                simulate, np.random.default_rng(size), 1_000, gain=gain, cluster_size=size
            )
            first, plain = rates(make, trials, alpha=0.025)
            print(
                f"  {f'1000, clusters of mean {size}':<28}{gain:>6.0%}"
                f"{first['promoted'] / trials:>9.0%}{'':>9}{plain:>9.0%}",
                flush=True,
            )


def _segmented(
    rng: np.random.Generator, queries: int, count: int, gain: float
) -> Callable[[], Gate]:
    shares = 1 / np.arange(1, count + 1)
    names = np.array([f"segment {number}" for number in range(count)], object)

    def make() -> Gate:
        segments: Segments = rng.choice(names, queries, p=shares / shares.sum())
        return simulate(rng, queries, gain=gain, segments=segments)

    return make


def dev_check(trials: int) -> list[bool]:
    """Equal systems whose errors correlate more or less, and worse ones."""
    print("\ndev check on 200 queries: equal systems refused (bar <= 5 %)")
    held = []
    for flipped in (0.0, 0.1):
        for correlation in (0.9, 0.7, 0.5):
            refused = corpus = 0
            for trial in range(trials):
                lists, hits = dev_lists(
                    np.random.default_rng(trial), correlation=correlation, flipped=flipped
                )
                refused += bool(check_equivalence(lists, seed=trial).refusal)
                corpus += intervals(hits[:, None], trial)[0].high < 0
            name = f"errors correlate by {correlation}, {flipped:.0%} flipped"
            held.append(bar(name, refused / trials, corpus / trials, trials))
    for lost in (0.5, 1.0, 2.0):
        refused = sum(
            bool(check_equivalence(
                dev_lists(np.random.default_rng(trial), flipped=0.1, signal_lost=lost)[0],
                seed=trial,
            ).refusal)
            for trial in range(trials)
        )  # fmt: skip
        print(f"       lacks {lost} of a signal of 3 deviations: {refused / trials:.0%} refused")
    return held


def evaluator() -> bool:
    """Ranking and scoring 1,500 queries over 18,000 chunks."""
    rng = np.random.default_rng(0)
    queries, documents = (
        np.asarray(each / np.linalg.norm(each, axis=1, keepdims=True), np.float32)
        for each in (rng.standard_normal((1_500, 384)), rng.standard_normal((18_000, 384)))
    )
    began = time.process_time()
    rows = rank(queries, documents, 20)
    judged = [{int(row): JudgedPair.certain(int(row) % 4) for row in of} for of in rows]
    score({"incumbent": rows}, judged, GateQueries.of(["all"] * 1_500))
    spent = time.process_time() - began
    holds = spent <= 1.0
    print(f"\n  {'ok  ' if holds else 'MISS'} evaluator, 1,500 x 18,000: {spent:.2f} cpu s (<= 1)")
    return holds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=400, help="gates per row")
    trials = parser.parse_args(arguments).trials
    held = [
        evaluator(),
        *equal_candidates(trials),
        *series_of_gates(trials),
        unjudged_results(trials),
        *ruined_segments(trials),
        *dev_check(max(1, trials // 10)),
    ]
    power(max(1, trials // 4))
    power_in_clusters(max(1, trials // 4))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
