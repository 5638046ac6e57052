"""What a run waits for, each as something that can be polled and has advice for when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.accounting.ledger import AccountReader
from ragwheel.demo.embedding import Embedding
from ragwheel.demo.readings import Jobs, Readings
from ragwheel.demo.scrape import Scraped
from ragwheel.demo.waiting import Awaited, Progress, Rate
from ragwheel.schemas import metrics
from ragwheel.schemas.events import Role
from ragwheel.schemas.topics import SERVICE_TOPICS, TopicName
from ragwheel.stack.processes import last_lines

Poll = Callable[[], Progress]
#: A cycle that failed once is tried again; one that failed more often has a fault.
_FAILURES = 3

VECTORS = Awaited(
    "vectors of the corpus",
    "trainer",
    "The machine is busier than this run expects: try again, or use --scale small.",
)
LANDING = Awaited(
    "everything in ClickHouse",
    "intake",
    "Intake lands all messages; its log says what it waits for.",
)
LABELS = Awaited(
    "a label for every sampled pair",
    "grader",
    "The grader asks the LLM; its log names refused keys, limits and unknown models.",
)
VERDICT = Awaited(
    "a verdict of the gate",
    "trainer",
    "The trainer starts at its threshold and then waits for the judge; its log names what is "
    "missing.",
)
BOOKS = Awaited(
    "balanced books",
    "intake",
    "A process has not caught up with the topic that is named.",
)


def embedded(embedding: Embedding) -> Poll:
    """Every text has its vector, or the embedding failed."""
    rate = Rate()

    def poll() -> Progress:
        text = rate.describe(embedding.done, embedding.total, time.monotonic())
        return Progress(not embedding.is_alive(), f"{text} texts")

    return poll


def landing(reader: AccountReader, sent: Mapping[TopicName, int]) -> Poll:
    """Everything that services sent is in ClickHouse or a dead letter, and every job is there."""

    def poll() -> Progress:
        accounts = {account.topic: account for account in reader.read()}
        total = sum(sent.values())
        settled = sum(
            accounts[name].landed + accounts[name].dead_lettered
            for name in SERVICE_TOPICS
            if name in accounts
        )
        jobs = accounts.get("grading")
        done = settled >= total and jobs is not None and not jobs.in_flight
        return Progress(done, f"{settled:,} of {total:,} messages settled")

    return poll


def all_labels(readings: Readings, role: Role, jobs: Jobs, trainer: Callable[[], Scraped]) -> Poll:
    """Every pair of the sample has a label of some status."""
    rate = Rate()

    def poll() -> Progress:
        count = readings.label_count(role)
        text = rate.describe(count, jobs.pairs, time.monotonic())
        return Progress(count >= jobs.pairs, f"{text} pairs, {threshold(trainer())}")

    return poll


def threshold(scraped: Scraped) -> str:
    """How far the trainer is from its threshold, in words."""
    have = scraped.value(metrics.TRAIN_QUERIES)
    need = scraped.value(metrics.TRAIN_THRESHOLD)
    if have is None or need is None:
        return "the trainer has not counted yet"
    return f"{have:,.0f} of {need:,.0f} answered queries that start the training"


def decision(readings: Readings, trainer: Callable[[], Scraped], log_path: Path) -> Poll:
    """The trainer has trained, the judge has judged, the gate has decided."""
    rate = Rate()

    def poll() -> Progress:
        found = readings.decision()
        if found is not None:
            return Progress(True, f"{found.verdict.action}: {found.verdict.reason}")
        scraped = trainer()
        failures = scraped.value(metrics.TRAIN_CYCLES, verdict="failed") or 0
        if failures >= _FAILURES:
            return Progress(False, f"{failures:.0f} training cycles failed", hopeless=True)
        jobs = readings.jobs("judge")
        if jobs.jobs:
            count = readings.label_count("judge")
            text = rate.describe(count, jobs.pairs, time.monotonic())
            return Progress(False, f"the judge has graded {text} held-out pairs")
        return Progress(False, f"the trainer says: {last_message(log_path)}")

    return poll


def last_message(log_path: Path) -> str:
    """What a process said last, without time, level and logger."""
    lines = last_lines(log_path, 1)
    return lines[0].partition(": ")[2] or lines[0] if lines else "nothing yet"


def settled_books(reader: AccountReader) -> Poll:
    """No message of any topic is in flight."""

    def poll() -> Progress:
        waiting = _open(reader.read())
        shown = ", ".join(f"{count:,} in {topic}" for topic, count in waiting.items())
        return Progress(not waiting, f"in flight: {shown or 'nothing'}")

    return poll


def _open(accounts: Iterable[TopicAccount]) -> dict[TopicName, int]:
    """Messages that nobody has finished yet, per topic that has some."""
    return {
        account.topic: account.in_flight + account.pending_jobs
        for account in accounts
        if account.in_flight + account.pending_jobs
    }
