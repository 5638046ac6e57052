"""`ragwheel down`."""

from __future__ import annotations

from ragwheel.cli.command import JsonFlag, StackHome, command


@command(
    "ragwheel down",
    "ragwheel down --home /tmp/second",
    exits={75: "the stack did not end within a minute"},
)
def run(home: StackHome = None, as_json: JsonFlag = False) -> int:
    """Does what Ctrl-C in the terminal of `ragwheel up` does, and waits until every process has
    ended. Nothing running is no error.
    """
    from ragwheel.cli.output import report, tell
    from ragwheel.operations.down import stop_stack
    from ragwheel.operations.running import choose_home, running_pid

    chosen = choose_home(home)
    if pid := running_pid(chosen):
        tell(f"ending the stack in {chosen} (pid {pid})")
    done = stop_stack(chosen)
    if as_json or done.pid is not None:
        text = f"the stack in {done.home} (pid {done.pid}) has ended; its data stay there"
        report(done, text, as_json=as_json)
    else:
        tell(f"no stack is running in {chosen}")
    return 0
