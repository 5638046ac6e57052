"""Gates whose judge errs: do beliefs favour anybody, and what do they bring? By simulation.

    python bench/believing.py [--trials 10]

Equal candidates promoted (bar 5 %) and true gains proven, with beliefs and with the judge taken at
its word; what the dev queries would refuse, at their word and by the incumbent's beliefs. Standard
errors of a 5 % rate are 2.2 points at 100 trials; a trial takes about a second.
`tests/rigs/belief_world.py` says what is simulated.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

# The rigs are not installed; the benchmarks and the tests share them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.rigs.belief_world import (
    Grader,
    dev_gain,
    judge_gate,
    make_belief_world,
    measured_gain,
)

from ragwheel.trainers.proof.gate import decide
from ragwheel.trainers.proof.guards import GateRules

RULES = GateRules(resamples=2_000)
LIMIT = 0.05
WORLDS: Mapping[str, Mapping[str, int]] = {
    "answers repeat, one right": {},
    "answers repeat, four right": {"answers": 4},
    "no answer repeats": {"topics": 1_000, "others": 0},
}


def row(name: str, wrong: float, better: float, trials: int) -> bool:
    """Print one row; False where equal candidates are promoted too often."""
    grader = Grader(wrong)
    passed, refused = {True: 0, False: 0}, {True: 0, False: 0}
    seen: dict[bool, list[float]] = {True: [], False: []}
    true = []
    for trial in range(trials):
        world = make_belief_world(np.random.default_rng([trial, 1]), better=better, **WORLDS[name])
        true.append(world.true_gain())
        for believing in (True, False):
            found = judge_gate(
                world, np.random.default_rng([trial, 2]), grader, believing=believing
            )
            passed[believing] += decide(found, RULES, seed=trial).action == "promoted"
            seen[believing].append(measured_gain(found))
            change = dev_gain(world, np.random.default_rng([trial, 3]), grader, believing=believing)
            refused[believing] += change <= 0
    noise = 2 * math.sqrt(LIMIT * (1 - LIMIT) / trials)
    holds = better != 0 or passed[True] / trials <= LIMIT + noise
    print(
        f"  {'ok  ' if holds else 'MISS'} {name:<28}{wrong:>5.0%} {100 * np.mean(true):+6.1f}"
        f" | {passed[True] / trials:5.0%} {passed[False] / trials:5.0%}"
        f" | {100 * np.mean(seen[True]):+6.1f} {100 * np.mean(seen[False]):+6.1f}"
        f" | {refused[True] / trials:5.0%} {refused[False] / trials:5.0%}",
        flush=True,
    )
    return holds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10, help="gates per row")
    trials = parser.parse_args(arguments).trials
    print("with beliefs, then without: true gain | promoted | gain seen | dev refuses")
    held = [
        row(name, wrong, better, trials)
        for name in WORLDS
        for wrong in (0.1, 0.2)
        for better in (-0.2, 0.0, 0.2)
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
