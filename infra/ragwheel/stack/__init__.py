"""The whole loop on one machine, for development, demos and tests.

    with LocalStack(Path(".ragwheel"), on_progress=print) as stack:
        stack.env                          # RAGWHEEL_… variables for other processes
        stack.settings(ClientSettings)     # the same as settings objects, for this process
        stack.state.process("intake").pid  # what runs where; also in <home>/state.json
        stack.check()                      # about once a second: restarts what died
        stack.wait(until=done)             # blocks until done() and checks meanwhile

`components=("kafka", "clickhouse", "intake")` starts less, `ALL_COMPONENTS` the server too;
`llm=DemoLlm(gold=path)` chooses the stand-in grader, `ExternalLlm()` a real endpoint;
`env={"RAGWHEEL_SAMPLE_RATE": "1"}` configures the workers; `prometheus=True` adds the system's
Prometheus.
"""

from ragwheel.stack.composition import (
    ALL_COMPONENTS,
    USUAL_COMPONENTS,
    Component,
    DemoLlm,
    ExternalLlm,
    choose_components,
)
from ragwheel.stack.home import Home
from ragwheel.stack.local import LocalStack
from ragwheel.stack.schema import settings_in
from ragwheel.stack.supervised import RestartPolicy

__all__ = [
    "ALL_COMPONENTS",
    "USUAL_COMPONENTS",
    "Component",
    "DemoLlm",
    "ExternalLlm",
    "Home",
    "LocalStack",
    "RestartPolicy",
    "choose_components",
    "settings_in",
]
