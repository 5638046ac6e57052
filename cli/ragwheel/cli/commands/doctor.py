"""`ragwheel doctor`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ragwheel.cli.command import Command, add_connection

if TYPE_CHECKING:
    from ragwheel.operations.doctor.finding import Finding


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick", action="store_true", help="skip what takes seconds: torch and the base model"
    )
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    from collections import Counter

    from ragwheel.cli.connection import addresses_are_set, connect_to
    from ragwheel.operations.doctor import examine
    from ragwheel.operations.running import choose_home

    stack = connect_to(args.home)
    levels: Counter[str] = Counter()
    configured = stack is not None or addresses_are_set()
    findings = examine(choose_home(args.home), _local, configured=configured, quick=args.quick)
    for finding in findings:
        levels[finding.level] += 1
        print(f"{finding.level:<4}  {finding.subject:<20}  {finding.detail}", flush=True)
        if finding.fix:
            print(f"{'':28}→ {finding.fix}", flush=True)
    print(f"{levels['ok']} ok, {levels['warn']} warnings, {levels['fail']} failures")
    return 1 if levels["fail"] else 0


def _local() -> Iterable[Finding]:
    # Imported when asked for: images without the extra [local] do not carry the stack.
    from ragwheel.stack.doctor import examine_stack

    return examine_stack()


COMMAND = Command(
    name="doctor",
    purpose="check everything ragwheel needs and say how to mend it",
    details="""\
Looks at Python, the packages of each extra, memory, disk, ports, Java and the broker's jars, the
embedded engine, torch and the base model, broker, ClickHouse, the LLM's endpoint and key, and
optional programs. Changes nothing and sends nothing but a request for the LLM's list of models.""",
    examples=("ragwheel doctor", "ragwheel doctor --quick"),
    configure=configure,
    run=run,
    exits=((1, "a check failed (warnings do not count)"),),
)
