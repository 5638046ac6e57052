"""Requests for vectors at fixed times, whatever the answers do; a line for each on standard output.

    python bench/steady_load.py HOST:PORT RATE

A process of its own, without torch and without a client library: who measures must take little of
what is measured. A line is when the request was due and when it was answered (monotonic seconds),
status (0: no answer) and model. It ends with its standard input. No text comes twice.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import count

_PATIENCE_S = 60.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def ask(address: str, rate: float) -> None:
    """Ask until the standard input ends."""
    host, _, port = address.rpartition(":")
    free: list[Connection] = []
    tasks: set[asyncio.Task[None]] = set()

    async def one(due: float, number: int) -> None:
        status, model = 0, ""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while free and free[-1][0].at_eof():  # the server closes what is idle
                    free.pop()[1].close()
                used = free.pop() if free else await asyncio.open_connection(host, int(port))
                status, model = await answer(used, address, number)
                free.append(used)
        except (OSError, ValueError, EOFError, TimeoutError):
            pass
        print(due, time.monotonic(), status, model, sep="\t")

    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    began = time.monotonic()
    for number in count():
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if ended.done():
            break
        task = asyncio.create_task(one(due, number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def answer(connection: Connection, address: str, number: int) -> tuple[int, str]:
    """Status and model of one request."""
    reader, writer = connection
    text = f"how do I rotate key number {number}?"
    body = json.dumps({"model": "ragwheel:query", "input": text}).encode()
    head = (
        f"POST /v1/embeddings HTTP/1.1\r\nhost: {address}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    await reader.readexactly(int(headers["content-length"]))
    return int(first.split()[1]), headers.get("x-ragwheel-model", "")


if __name__ == "__main__":
    asyncio.run(ask(sys.argv[1], float(sys.argv[2])))
