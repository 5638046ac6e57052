"""ClickHouse without a server installation: chDB behind the ClickHouse HTTP interface.

One process owns the data (chDB allows no second one) and answers on loopback, so that every other
process uses the same `clickhouse-connect` client as in production. Start it with `ClickHouseFront`
or `python -m ragwheel.stack.clickhouse`. What it promises is the contract suite in
tests/contract/stack, which also runs against a real server.

It listens on 127.0.0.1, asks for the password that stands in its data directory and refuses
requests that come from a web page (`entrance`). It runs no statement that reaches files, other
servers or programs (`privileges`, `admission`).
"""

from ragwheel.stack.clickhouse.launcher import ClickHouseFront

__all__ = ["ClickHouseFront"]
