"""Intake: lands every topic in ClickHouse, samples traffic, dead-letters what it cannot use.

Start reading at `processor` (the order that makes it safe), then `contracts` (what its neighbours
promise), `prepare` (what a message becomes) and `consumer` (group membership and commits). Another
kind of input docks in `readers`.
"""
