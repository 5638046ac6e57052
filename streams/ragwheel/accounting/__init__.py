"""Accounts: is anything lost between Kafka and ClickHouse?

Start reading at `accounts` (the arithmetic), then `ledger` (where its numbers come from). `process`
is the worker that shows them as metrics; `ragwheel status` and the demo read them by themselves.
"""
