"""One file per command: options in, a call of operations, a view out.

Here is what `ragwheel --help` says of them. It imports nothing, so that the answer comes at once;
a command's own file is loaded when it is typed.
"""

#: Name → purpose (one line, lower case, no full stop), in the order of `--help`.
COMMANDS: dict[str, str] = {
    "demo": "run the whole loop once on real traffic and write a report",
    "up": "run the whole loop on this machine until Ctrl-C",
    "down": "end the loop that `ragwheel up` runs, from another terminal",
    "status": "show topics, rows, labels, models, workers, and whether anything is lost",
    "logs": "show what the processes of the local loop wrote",
    "emit": "send events from a file to Kafka",
    "wait": "wait until what was sent is landed or graded, or a verdict is in",
    "grade": "grade a file of queries and chunks, without Kafka",
    "rubric": "list, show, check, compare and begin what relevant means",
    "train": "run one training cycle now and print the verdict",
    "leaderboard": "show what the last gate measured of every system",
    "models": "list trained models with their verdicts, roll back, prune",
    "serve": "embed queries and documents with the promoted model over HTTP",
    "reembed": "fill a vector store anew with another model's vectors, and switch to it",
    "export": "write what a model was trained on in the formats of others",
    "replay": "send dead letters again after their cause was repaired",
    "write-off": "declare messages as lost that expired before anybody read them",
    "forget": "erase a user, a search or a chunk, and keep it out",
    "doctor": "check everything ragwheel needs and say how to repair it",
    "worker": "run one worker in the foreground",
    "migrate": "bring the ClickHouse schema up to date",
    "topics": "create the Kafka topics that are missing",
    "version": "print the version of ragwheel and of Python",
}

#: Options that stand before a command; a test compares them with the parser's.
OPTIONS: dict[str, str] = {
    "--version": "print the version",
    "--install-completion": "complete commands and options in this shell from now on",
    "--show-completion": "print what --install-completion would install",
    "-h, --help": "print this",
}

#: Environment variable with which a shell's completion script asks; the parser answers.
COMPLETION = "_RAGWHEEL_COMPLETE"


def front_page() -> str:
    """What `ragwheel --help` prints."""
    commands = "\n".join(f"  {name:<11} {purpose}" for name, purpose in COMMANDS.items())
    options = "\n".join(f"  {name:<21} {purpose}" for name, purpose in OPTIONS.items())
    return f"""\
Usage: ragwheel [OPTIONS] COMMAND …

The retrieval flywheel: log what was retrieved, grade it, train on it,
promote only what is proven better.

Commands:
{commands}

Options:
{options}

Start with `ragwheel demo` or `ragwheel up`. When something is missing: `ragwheel doctor`.
Settings are environment variables: docs/settings.md.
"""
