"""`ragwheel demo`: one turn of the wheel in a folder of its own, and what is left of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TextIO

from ragwheel.demo.loop import Turn
from ragwheel.demo.options import DemoOptions
from ragwheel.demo.report.page import html_report
from ragwheel.demo.summary import summary
from ragwheel.demo.terminal import Terminal
from ragwheel.schemas.errors import RagwheelError

REPORT_FILE = "report.html"
RESULT_FILE = "result.json"
INTERRUPTED = 130
#: What stays of a run besides its logs; the rest can be made again.
_KEPT = (REPORT_FILE, RESULT_FILE, "logs")


def run(options: DemoOptions, out: TextIO | None = None) -> int:
    """Play one turn, show it, and clean up. Ctrl-C at any moment leaves no process behind.

    Returns:
        0 when everything worked and the improvement is proven; 1 when something does not fit;
        130 after Ctrl-C; the error's own status when a step failed.
    """
    terminal = Terminal(sys.stdout if out is None else out)
    home = options.home / f"demo-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.getpid()}"
    home.mkdir(parents=True)
    _set_up_libraries()
    terminal.say(f"One turn of the wheel, scale {options.scale}. Everything of this run: {home}")
    try:
        with _kept(home, everything=options.keep):
            result = Turn(options, home, terminal).play()
            result = replace(result, steps=tuple(terminal.steps))
            report = home / REPORT_FILE
            report.write_text(html_report(result), encoding="utf-8")
            (home / RESULT_FILE).write_bytes(result.as_json())
    except KeyboardInterrupt:
        terminal.say("Interrupted; every process was stopped.")
        return INTERRUPTED
    except RagwheelError as error:
        terminal.say(f"✗ {error}", style="red")
        terminal.say(f"  The logs of this run are in {home / 'logs'}.")
        return error.exit_code
    terminal.say("", *summary(result), "", f"Report: {report}")
    return 1 if result.problems else 0


def _set_up_libraries() -> None:
    """Settings of libraries, for this process and the stack's; whoever set one keeps it."""
    # Their progress bars would tear our lines apart.
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Torch's threads spin while they wait for each other. Beside a broker, a database and a grader
    # on the same cores that halves the speed of all of them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def _kept(home: Path, *, everything: bool) -> Iterator[None]:
    """Remove what nobody needs once the run is over, however it ended."""
    try:
        yield
    finally:
        if not everything:
            for path in home.iterdir():
                if path.name not in _KEPT:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
