"""`ragwheel doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from ragwheel.cli.command import Connection, JsonFlag, command, flag

if TYPE_CHECKING:
    from ragwheel.operations.doctor.finding import Finding


@command(
    "ragwheel doctor",
    "ragwheel doctor --quick",
    exits={1: "a check failed (warnings do not count)"},
)
def run(
    quick: Annotated[
        bool, flag("--quick", "skip what takes seconds: torch and the base model")
    ] = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Looks at Python, the packages of each extra, memory, disk, ports, Java and the broker's jars,
    the embedded engine, torch and the base model, broker, ClickHouse, the LLM's endpoint and key,
    the server's keys, TLS files, artifact store and index, and optional programs. Changes nothing
    and sends nothing but questions.
    """
    from ragwheel.cli.connection import addresses_are_set, connect_to
    from ragwheel.cli.output import report, show
    from ragwheel.cli.views.findings import Examination, row, summary
    from ragwheel.operations.doctor import examine
    from ragwheel.operations.running import choose_home

    stack = connect_to(home)
    configured = stack is not None or addresses_are_set()
    findings = []
    for finding in examine(choose_home(home), _of_the_stack, configured=configured, quick=quick):
        findings.append(finding)
        if not as_json:
            show(row(finding))
    found = Examination(findings)
    report(found, summary, as_json=as_json)
    return 1 if found.count("fail") else 0


def _of_the_stack() -> Iterable[Finding]:
    # Imported when asked for: images without the extra [local] do not carry the stack.
    from ragwheel.stack.prerequisites import examine_stack

    return examine_stack()
