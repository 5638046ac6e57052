"""The state of a whole ragwheel at a glance: accounts, rows, labels, models, workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING

from pydantic import computed_field

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.accounting.ledger import Ledger, Unfinished
from ragwheel.accounting.reader import Groups, read_accounts
from ragwheel.backends.kafka import require_broker
from ragwheel.backends.migrate import open_tables
from ragwheel.backends.positions import Broker
from ragwheel.backends.spending_log import SpendingLog
from ragwheel.operations.breakers import HeldModel, held_models
from ragwheel.operations.running import ProcessState, StackState
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.identity import is_stand_in
from ragwheel.schemas.pace import DayPace
from ragwheel.schemas.settings import GraderSettings, IntakeSettings, KafkaSettings
from ragwheel.schemas.tables import ALL_TABLES, LABELS

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

#: Tables up to this size are counted through their view, that is without superseded copies; of
#: larger ones what is stored is counted, so that the overview takes a second however much there is.
COUNT_EXACTLY = 1_000_000


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of a table; `exact` counts them as readers see them, otherwise copies are included."""

    table: str
    rows: int
    exact: bool


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Labels of one role, model, status and grade. Cost in USD, as the price table has it."""

    role: str
    model: str
    status: str
    grade: int | None
    labels: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """Dead letters of one reason that came in the last hour and in the last day."""

    reason: str
    last_hour: int
    last_day: int


@dataclass(frozen=True, slots=True)
class ModelLine:
    """What last happened to a model."""

    model_id: str
    action: str
    promoted: bool
    reason: str
    ts: datetime


@dataclass(frozen=True, slots=True)
class GroupState:
    """The consumer group of a worker.

    Attributes:
        worker: intake or grader.
        group: its name on the broker.
        members: processes that are in it now.
    """

    worker: str
    group: str
    members: int


@dataclass(frozen=True, slots=True)
class BudgetState:
    """The day's money of all graders, as the log of claims has it.

    Attributes:
        claimed_usd: spent, or set aside for calls under way.
        limit_usd: 0 is none; so in tokens.
        pace: what sampling rates are multiplied with now.
    """

    claimed_usd: float
    limit_usd: float
    claimed_tokens: int
    limit_tokens: int
    pace: float


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything `ragwheel status` shows.

    Attributes:
        home: of the local stack that was asked, empty if none.
        topics: accounts of the topics that exist.
        groups: consumer groups of intake and grader.
        dead_letters: of the last day, the most frequent reason first.
        models: newest first; at most one is promoted.
        processes: of the local stack; empty if there is none.
        held: models that the local stack's graders cannot ask now; their jobs wait.
        unfinished: labels that landed without a grade and were not graded since.
        budget: None where nothing was claimed today, or the claims cannot be read.
    """

    home: str
    topics: Sequence[TopicAccount]
    tables: Sequence[TableRows]
    labels: Sequence[LabelCount]
    dead_letters: Sequence[DeadLetterCount]
    models: Sequence[ModelLine]
    groups: Sequence[GroupState]
    processes: Sequence[ProcessState]
    held: Sequence[HeldModel] = ()
    unfinished: Sequence[Unfinished] = ()
    budget: BudgetState | None = None

    @computed_field
    @property
    def unaccounted(self) -> int:
        """Messages that were declared done and were not. Must be 0."""
        return sum(topic.unaccounted for topic in self.topics)

    @computed_field
    @property
    def down(self) -> list[str]:
        """Names of processes that should run and do not."""
        if self.processes:
            return [process.name for process in self.processes if not process.alive]
        return [group.worker for group in self.groups if group.members == 0]

    @computed_field
    @property
    def stand_in_labels(self) -> int:
        """Labels that are no LLM's."""
        return sum(label.labels for label in self.labels if is_stand_in(label.model))

    @computed_field
    @property
    def stand_in(self) -> bool:
        """Whether the local stack's grader asks a stand-in instead of an LLM."""
        return any(process.name == "llm" for process in self.processes)

    @computed_field
    @property
    def healthy(self) -> bool:
        """Nothing is lost and everything runs."""
        return self.unaccounted == 0 and not self.down


def look(
    intake: IntakeSettings, grader: GraderSettings, stack: StackState | None = None
) -> Overview:
    """Ask broker and database.

    Raises:
        UnavailableError: one of them does not answer, or the tables are missing.
        ConfigError: a setting is wrong.
    """
    groups = Groups(intake.intake_group, grader.grader_group)
    require_broker(intake)
    with closing(open_tables(intake)) as client:
        tables = table_rows(client)
        return Overview(
            home=stack.home if stack else "",
            tables=tables,
            topics=read_accounts(intake, client, groups),
            labels=label_counts(
                client, exact=all(each.exact for each in tables if each.table == LABELS.name)
            ),
            dead_letters=dead_letter_counts(client),
            models=model_lines(client),
            groups=group_states(intake, {"intake": groups.intake, "grader": groups.grader}),
            processes=stack.processes if stack else (),
            held=held_models(stack.processes) if stack else (),
            unfinished=Ledger(client).unfinished(),
            budget=budget_state(intake, datetime.now(UTC)),
        )


def budget_state(settings: KafkaSettings, now: datetime) -> BudgetState | None:
    """What was claimed of the money of the day of `now`; None if nothing, or nobody knows."""
    with closing(SpendingLog(settings)) as log:
        try:
            log.catch_up()
        except UnavailableError:
            return None
        day = log.claims.days.get(now.date())
        if day is None:
            return None
        usd, tokens = (each if isfinite(each) else 0 for each in astuple(day.limit))
        return BudgetState(
            day.claimed.usd,
            usd,
            int(day.claimed.tokens),
            int(tokens),
            DayPace(log.claims).factor(now, now),
        )


def group_states(settings: KafkaSettings, groups: Mapping[str, str]) -> list[GroupState]:
    """State of each group; `groups` maps worker to group name. One that never was has no members.

    Raises:
        UnavailableError: the broker does not answer.
    """
    with Broker(settings) as broker:
        members = {group: broker.members(group) for group in sorted(set(groups.values()))}
    return [GroupState(worker, group, members[group]) for worker, group in groups.items()]


_STORED = """
SELECT table, sum(rows) FROM system.parts
WHERE active AND database = currentDatabase() GROUP BY table
"""
_LABELS = """
SELECT role, model, status, grade, count(), sum(cost_usd) FROM {source}
GROUP BY role, model, status, grade ORDER BY role, model, status, grade
"""
#: A letter that intake wrote again after a crash is one: counted by its identity.
_DEAD_LETTERS = """
SELECT
    reason,
    uniqExactIf(dead_letter_id, landed_at >= now() - INTERVAL 1 HOUR) AS last_hour,
    uniqExact(dead_letter_id) AS last_day
FROM dead_letters
WHERE landed_at >= now() - INTERVAL 1 DAY
GROUP BY reason
ORDER BY last_day DESC, reason
"""
_MODELS = """
SELECT model_id, argMax(action, ts), argMax(reason, ts), max(ts) AS last FROM v_models
GROUP BY model_id ORDER BY last DESC
"""
_IN_SERVICE = """
SELECT if(action = 'rolled_back', incumbent_id, model_id) FROM v_models
WHERE action IN ('promoted', 'rolled_back') ORDER BY ts DESC LIMIT 1
"""


def table_rows(client: Client) -> list[TableRows]:
    """Rows of every table of the schema, in its order."""
    stored = {str(table): int(rows) for table, rows in client.query(_STORED).result_rows}
    counted = []
    for table in ALL_TABLES:
        rows = stored.get(table.name, 0)
        exact = rows <= COUNT_EXACTLY
        if exact and rows:
            # The name comes from the schema, not from outside.
            found = client.query(f"SELECT count() FROM v_{table.name}")  # noqa: S608
            rows = int(found.result_rows[0][0])
        counted.append(TableRows(table.name, rows, exact))
    return counted


def label_counts(client: Client, *, exact: bool = True) -> list[LabelCount]:
    """Labels by role, model, status and grade; superseded copies count unless it shall be exact."""
    sql = _LABELS.format(source="v_labels" if exact else "labels")
    return [LabelCount(*row) for row in client.query(sql).result_rows]


def dead_letter_counts(client: Client) -> list[DeadLetterCount]:
    """What came in the last day, by reason."""
    return [DeadLetterCount(*row) for row in client.query(_DEAD_LETTERS).result_rows]


def model_lines(client: Client) -> list[ModelLine]:
    """Every model with its last event, newest first."""
    in_service = [row[0] for row in client.query(_IN_SERVICE).result_rows]
    return [
        # The driver leaves the zone away; the column is UTC.
        ModelLine(model_id, action, model_id in in_service, reason, ts.replace(tzinfo=UTC))
        for model_id, action, reason, ts in client.query(_MODELS).result_rows
    ]
