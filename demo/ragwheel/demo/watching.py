"""What a run waits for: how each stage stands, and advice for when it does not happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ragwheel.accounting.reader import AccountReader
from ragwheel.demo.answered import AskedServer
from ragwheel.demo.embedding import Embedding
from ragwheel.demo.readings import Jobs, Readings
from ragwheel.demo.scrape import Scraped
from ragwheel.demo.waiting import Standing, awaited
from ragwheel.schemas import metrics
from ragwheel.schemas.topics import SERVICE_TOPICS, TopicName
from ragwheel.stack.processes import last_lines

#: A cycle that failed once is tried again; one that failed more often has a fault.
_FAILURES = 3
#: Libraries talk in between, about folders that nobody knows.
_LINES_TO_LOOK_THROUGH = 40
_OWN_LOGGER = " ragwheel."


@awaited(
    "vectors of the corpus",
    "",
    "The machine is busier than this run expects: try again, or use --scale small.",
)
def embedded(embedding: Embedding) -> Standing:
    """Every text has its vector, or the embedding failed."""
    text = "" if embedding.total else "loading the model"
    return Standing(embedding.over, text, (embedding.done, embedding.total), "tokens")


@awaited(
    "everything in ClickHouse",
    "intake",
    "Intake lands all messages; its log says what it waits for.",
)
def landing(reader: AccountReader, sent: Mapping[TopicName, int]) -> Standing:
    """Everything that services sent is in ClickHouse or a dead letter, and every job is there."""
    accounts = {account.topic: account for account in reader.read()}
    jobs, total = accounts.get("grading"), sum(sent.values())
    found = [account for name, account in accounts.items() if name in SERVICE_TOPICS]
    settled = sum(account.landed + account.dead_lettered for account in found)
    over = settled >= total and jobs is not None and not jobs.in_flight
    return Standing(over, "", (settled, total), "messages settled")


@awaited(
    "a label for every sampled pair",
    "grader",
    "The grader asks the LLM; its log names refused keys, limits and unknown models.",
)
def labels(readings: Readings, jobs: Jobs, trainer: Callable[[], Scraped]) -> Standing:
    """Every pair of the sample has a label of some status."""
    count, pairs = readings.label_count("label"), jobs.pairs
    return Standing(count >= pairs, threshold(trainer()), (count, pairs), "pairs graded")


def threshold(scraped: Scraped) -> str:
    """How far the trainer is from its threshold, in words."""
    have = scraped.value(metrics.TRAIN_QUERIES)
    need = scraped.value(metrics.TRAIN_THRESHOLD)
    if have is None or need is None:
        return "the trainer has not counted yet"
    return f"training starts at {need:,.0f} answered queries, {have:,.0f} are there"


@awaited(
    "a verdict of the gate",
    "trainer",
    "The trainer starts at its threshold and then waits for the judge; its log names what is "
    "missing.",
)
def verdict(readings: Readings, trainer: Callable[[], Scraped], log_path: Path) -> Standing:
    """The trainer has trained, the judge has judged, the gate has decided."""
    found = readings.verdict()
    if found is not None:
        return Standing(True, f"{found.action}: {found.reason}")
    failures = trainer().value(metrics.TRAIN_CYCLES, verdict="failed") or 0
    if failures >= _FAILURES:
        return Standing(False, f"{failures:.0f} training cycles failed", hopeless=True)
    jobs = readings.jobs("judge")
    if jobs.jobs:
        count = readings.label_count("judge")
        return Standing(False, "", (count, jobs.pairs), "held-out pairs judged")
    return Standing(False, last_message(log_path))


def last_message(log_path: Path) -> str:
    """What a process itself said last, without time, level and logger."""
    for line in reversed(last_lines(log_path, _LINES_TO_LOOK_THROUGH)):
        head, colon, message = line.partition(": ")
        if colon and _OWN_LOGGER in head:
            return message
    return "nothing from the log yet"


@awaited("balanced accounts", "intake", "A process has not caught up with the topic that is named.")
def settled(reader: AccountReader) -> Standing:
    """No message of any topic is in flight."""
    waiting = [
        f"{count:,} in {account.topic}"
        for account in reader.read()
        if (count := account.in_flight + account.pending_jobs)
    ]
    return Standing(not waiting, f"in flight: {', '.join(waiting) or 'nothing'}")


@awaited(
    "an answer of what was decided",
    "server",
    "The server follows what is promoted; its log says why a model does not get into service.",
)
def served(server: AskedServer, text: str, expected: str) -> Standing:
    """The server answers, and with the model that ought to."""
    answered = server.ask(text)
    if answered is None:
        return Standing(False, "the server does not answer yet")
    return Standing(answered.model_id == expected, f"{answered.model_id} answers")
