"""`ragwheel reembed`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ragwheel.cli.command import Connection, JsonFlag, command, flag, option

if TYPE_CHECKING:
    from ragwheel.operations.reembedding import How, Reembedding, ReembedReport

_NOT_PROVEN = 1


@command(
    "ragwheel reembed plan BAAI/bge-base-en-v1.5 --usd-per-hour 0.9",
    "ragwheel reembed run",
    "ragwheel reembed run --on ray --gpus 1",
    "ragwheel reembed verify --tolerance 0.005",
    "ragwheel reembed cutover",
    'ragwheel reembed rollback --reason "slow on long queries"',
    "ragwheel reembed retire --yes",
    exits={
        _NOT_PROVEN: "something stands against it, and the message has it; or it was not confirmed",
        75: "another one is at work on it, or chunks come faster than they are embedded",
    },
)
def run(
    action: Annotated[
        Literal["plan", "run", "status", "verify", "cutover", "rollback", "abort", "retire"],
        typer.Argument(
            help="say what it costs, and what may be the better deal; build beside what is "
            "searched, or go on; show how it stands; compare the new build with what is searched; "
            "let searches find it; let them find the old one again; drop the new one; drop the old "
            "one"
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(help="of plan: name or folder of a model, or id of a registered one"),
    ] = None,
    reembed_id: Annotated[
        str, option("ID", "which re-embedding, if several are under way", "--id")
    ] = "",
    index: Annotated[
        str | None, option("NAME", "of plan: which index, if several are declared")
    ] = None,
    version: Annotated[
        str, option("VERSION", "of plan: name of the new build; else made of its fingerprint")
    ] = "",
    query_prompt: Annotated[
        str | None, option("TEXT", "of plan: put before each query; else as the model says")
    ] = None,
    document_prompt: Annotated[
        str | None, option("TEXT", "of plan: put before each chunk; else as the model says")
    ] = None,
    max_seq_length: Annotated[
        int | None, option("TOKENS", "of plan: else RAGWHEEL_MAX_SEQ_LENGTH", min=16)
    ] = None,
    machines: Annotated[
        int, option("N", "of plan: machines like this one, side by side", min=1)
    ] = 1,
    usd_per_hour: Annotated[
        float, option("USD", "of plan: what an hour of one machine costs", min=0)
    ] = 0.0,
    on: Annotated[
        Literal["local", "ray"],
        option("WHERE", "in RAGWHEEL_EMBED_WORKERS processes here, or as many actors of Ray"),
    ] = "local",
    gpus: Annotated[float, option("N", "of each of Ray's actors", min=0)] = 0.0,
    tolerance: Annotated[
        float, option("RECALL", "of verify: by how much recall@10 may be lower", min=0)
    ] = 0.01,
    force: Annotated[
        str, option("REASON", "of verify: accept what stands against it, for the record")
    ] = "",
    reason: Annotated[str, option("TEXT", "of rollback and abort, for the record")] = "",
    yes: Annotated[bool, flag("--yes", "do not ask before something is dropped")] = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Fills RAGWHEEL_VECTOR_STORE anew with the vectors of another model, beside what is searched,
    and lets searches find them in one step. The old build is kept until it is retired. Whatever was
    interrupted goes on when it is typed again; docs/reembedding.md has the whole flow.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.errors import ConfigError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import ReembedSettings

    require_extra("serving")
    from ragwheel.cli.views import reembedding as views
    from ragwheel.operations.reembedding import How, Reembedding
    from ragwheel.reembed.proposing import Proposal

    connect_to(home)
    settings = load(ReembedSettings)
    if action in ("abort", "retire") and not yes and not _confirmed(action):
        return _NOT_PROVEN
    with Reembedding(settings, views.progress()) as reembedding:
        if action == "plan":
            if not target:
                raise ConfigError("name the model: `ragwheel reembed plan MODEL`")
            made = reembedding.plan(
                Proposal(
                    target, index, version, query_prompt, document_prompt,
                    max_seq_length or settings.max_seq_length,
                    machines, usd_per_hour,
                )
            )  # fmt: skip
            report(made, views.plan, as_json=as_json)
            return 0
        done = _moved(
            reembedding, action, reembed_id, How(on, gpus), tolerance=tolerance,
            force=force, reason=reason,
        )  # fmt: skip
    report(done, views.standing, as_json=as_json)
    refused = action == "verify" and done.state != "verified"
    return _NOT_PROVEN if refused else 0


def _moved(
    reembedding: Reembedding, action: str, reembed_id: str, how: How, *,
    tolerance: float, force: str, reason: str,
) -> ReembedReport:  # fmt: skip
    if action == "run":
        return reembedding.run(reembed_id, how)
    if action == "verify":
        return reembedding.verify(reembed_id, how, tolerance, force)
    if action == "cutover":
        return reembedding.cutover(reembed_id, how)
    if action == "rollback":
        return reembedding.rollback(reembed_id, reason)
    if action == "abort":
        return reembedding.abort(reembed_id, reason)
    if action == "retire":
        return reembedding.retire(reembed_id)
    return reembedding.status(reembed_id)


def _confirmed(action: str) -> bool:
    import sys

    which = "new" if action == "abort" else "old"
    print(f"Drop the {which} build, for good? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    print("nothing was changed (--yes does not ask)", file=sys.stderr)
    return False
