"""What a person waits for: `ragwheel --help`, a command's help and one completion, beside Python.

Prints the best of several runs and the ratio to an interpreter that does nothing; what else the
machine does is not ours.

    python bench/command_line.py [--runs 15]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

_MAIN = "import sys; from ragwheel.cli.main import main; sys.exit(main())"
#: Name → arguments, and what is added to the environment.
_CASES: dict[str, tuple[list[str], dict[str, str]]] = {
    "python -c pass": (["-c", "pass"], {}),
    "ragwheel --help": (["-c", _MAIN, "--help"], {}),
    "ragwheel status --help": (["-c", _MAIN, "status", "--help"], {}),
    "ragwheel --version": (["-c", _MAIN, "--version"], {}),
}


def seconds(arguments: list[str], extra: dict[str, str]) -> float:
    """Wall time of one run."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | extra,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def main() -> None:
    """Time every case, interleaved."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    taken: dict[str, list[float]] = {name: [] for name in _CASES}
    for _ in range(runs):
        for name, (arguments, extra) in _CASES.items():
            taken[name].append(seconds(arguments, extra))
    floor = min(taken["python -c pass"])
    for name, times in taken.items():
        best = min(times)
        print(f"{name:24} best {best:.3f} s  ÷ python {best / floor:5.1f}")


if __name__ == "__main__":
    main()
