"""`ragwheel serve`."""

from __future__ import annotations

from ragwheel.cli.command import Connection, command


@command(
    "ragwheel serve",
    "RAGWHEEL_SERVING_HOST=0.0.0.0 RAGWHEEL_SERVING_KEYS=s3cret ragwheel serve",
    exits={
        69: "Kafka or ClickHouse does not answer",
        78: "a setting is wrong, a package is missing, or others could reach it without keys",
    },
)
def run(home: Connection = None) -> int:
    """Embeds queries and documents with the promoted model, over the APIs of OpenAI, Cohere and
    text-embeddings-inference, at http://127.0.0.1:8400 (RAGWHEEL_SERVING_…). Follows what the
    trainer promotes without a restart. Ends at Ctrl-C or SIGTERM once what waits is answered. The
    same as `ragwheel worker server`.
    """
    from ragwheel.cli.commands import worker

    return worker.run.run("server", home)
