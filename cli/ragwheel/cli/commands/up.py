"""`ragwheel up`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

from ragwheel.cli.command import JsonFlag, command, flag, home_option, option

#: What a service or a shell needs to reach the stack; the rest concerns the workers.
_EXPORTED = (
    "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS",
    "RAGWHEEL_CLICKHOUSE_URL",
    "RAGWHEEL_TOPIC_PREFIX",
    "RAGWHEEL_SERVING_PORT",
    # A service that encodes in process follows what is promoted here.
    "RAGWHEEL_MODEL_DIR",
    "RAGWHEEL_BASE_MODEL",
)


@command(
    "ragwheel up",
    "RAGWHEEL_SAMPLE_RATE=1 ragwheel up --home /tmp/second --without trainer",
    exits={1: "a process of the stack failed; its last log lines are shown"},
)
def run(
    home: Annotated[
        Path | None, home_option("folder of data, logs and state; kept between runs")
    ] = None,
    without: Annotated[
        list[str] | None,
        option(
            "NAME",
            "leave out kafka, clickhouse, llm, intake, accounts, grader or trainer; repeat "
            "for several. For a server that is left out, the settings must say where another is",
        ),
    ] = None,
    serve: Annotated[
        bool, flag("--serve", "also start the server, which answers with the promoted model")
    ] = False,
    prometheus: Annotated[bool, flag("--prometheus", "also start the system's Prometheus")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Starts a real Kafka broker, the embedded ClickHouse engine, a stand-in for the LLM, intake,
    accounts, grader and trainer, each on a free port of 127.0.0.1. With RAGWHEEL_LLM_BASE_URL,
    RAGWHEEL_LLM_API_KEY ("none" if it wants none), RAGWHEEL_LLM_MODEL or RAGWHEEL_JUDGE_MODEL set,
    that endpoint grades, and no stand-in. What dies is started again, servers with their data and
    on their port, until it died 6 times in a row. Ctrl-C, SIGTERM and `ragwheel down` end
    everything, a background job of a script too. Settings (RAGWHEEL_…) of the environment are
    passed on to the workers.
    """
    from ragwheel.cli.output import report, tell
    from ragwheel.cli.views.announcement import Announcement, tables
    from ragwheel.operations.extras import require_extra
    from ragwheel.operations.running import choose_home

    # A script's background jobs (`ragwheel up &`) are started with SIGINT ignored. A stack that
    # nobody can interrupt is no stack to leave behind, and its children would be deaf, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    require_extra("local", "streams")
    from ragwheel.stack import LocalStack, choose_components
    from ragwheel.stack.state import public

    components = choose_components(without=without or (), serve=serve)
    needed = {"trainer": "trainers", "server": "serving"}
    require_extra(*(extra for name, extra in needed.items() if name in components))
    with LocalStack(
        choose_home(home), components=components, prometheus=prometheus, on_progress=tell
    ) as stack:
        state = stack.state
        shown = public(state.env, Path(state.home))
        env = {name: shown[name] for name in _EXPORTED if name in shown}
        running = Announcement(state.home, state.pid, state.stand_in, env, state.processes)
        report(running, tables, as_json=as_json)
        stack.wait()
    return 0
