"""Trying something in a child process: a fault there is no fault here."""

from __future__ import annotations

import subprocess

_PROBE_TIMEOUT_S = 120.0


class ProbeError(Exception):
    """A probe in a child process failed; the text is its last line."""


def run_probe(argv: list[str]) -> str:
    """Standard output (and error) of a probe.

    Raises:
        ProbeError: it failed or took too long.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"no answer within {_PROBE_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise ProbeError(f"{argv[0]}: {error.strerror}") from None
    output = done.stdout.strip()
    if done.returncode != 0:
        raise ProbeError(output.splitlines()[-1] if output else f"status {done.returncode}")
    return output
