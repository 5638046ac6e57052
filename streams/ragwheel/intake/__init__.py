"""Intake: lands every topic in ClickHouse, samples traffic, dead-letters what it cannot use.

Start reading at `processor` (the order that makes it safe), then `prepare` (what a message
becomes) and `consumer` (group membership and commits).
"""

from ragwheel.intake.process import main, run

__all__ = ["main", "run"]
