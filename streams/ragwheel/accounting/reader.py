"""Reading the accounts again and again: what is new since the last time, nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ragwheel.accounting.accounts import (
    Entry,
    PartitionAccount,
    Stretch,
    TopicAccount,
    account,
)
from ragwheel.accounting.jobs import JobsAccount
from ragwheel.accounting.ledger import Ledger, Place, State, Unfinished
from ragwheel.backends.positions import Broker
from ragwheel.schemas.settings import AccountsSettings, KafkaSettings
from ragwheel.schemas.topics import TOPICS, Partition, TopicName

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LOG = logging.getLogger(__name__)

#: The ledger forgets rows after 30 days (its TTL); a little before that it is not complete.
_LEDGER_MEMORY = timedelta(days=29)
#: Where the grader's work ends up.
_RESULTS: tuple[TopicName, ...] = ("labels", "deadletters")


@dataclass(frozen=True, slots=True)
class Groups:
    """Consumer groups whose commits count."""

    intake: str = AccountsSettings.model_fields["intake_group"].default
    grader: str = AccountsSettings.model_fields["grader_group"].default


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the broker says, asked in this order: nothing of it is older than what stands before."""

    partitions: list[Partition]
    origins: Mapping[TopicName, str]
    acknowledged: Mapping[Partition, int]
    committed: Mapping[Partition, int]
    ends: Mapping[Partition, tuple[int, int]]

    def place(self, partition: Partition) -> Place:
        return self.origins.get(partition.topic, ""), partition.number

    def of(self, *topics: TopicName) -> list[Partition]:
        return [partition for partition in self.partitions if partition.topic in topics]


class AccountReader:
    """Knows after each `read` what is unaccounted, and remembers what it saw.

    Args:
        client: of its own; not shared with another thread.
    """

    def __init__(self, settings: KafkaSettings, client: Client, groups: Groups) -> None:
        self._broker = Broker(settings)
        self._ledger = Ledger(client)
        self._groups = groups
        self._name = f"{settings.topic_prefix}/{groups.intake}/{groups.grader}"
        self._state: State | None = None
        self._facts: _Facts | None = None

    def read(self) -> list[TopicAccount]:
        """The account of every topic of the registry that exists.

        The order of reading makes it safe beside running workers: commits first, then what must
        have happened before them.

        Raises:
            UnavailableError: Kafka does not answer.
            ClickHouseError: ClickHouse does not.
        """
        facts = self._facts = self._ask()
        if self._state is None:
            self._state = self._ledger.state(self._name)
        state = self._state
        self._take_in(state, facts)
        self._look_at_jobs(state.jobs, facts)
        state.at = datetime.now(UTC)
        accounts = []
        for topic in TOPICS:
            places = facts.of(topic)
            if not places:
                continue
            pending = 0
            if topic == "grading":
                pending = sum(
                    facts.ends[p][1] - facts.acknowledged.get(p, facts.ends[p][0]) for p in places
                )
            accounts.append(
                account(
                    topic,
                    {
                        place.number: (
                            state.partitions[_key(facts.place(place))],
                            facts.committed.get(place, facts.ends[place][0]),
                            facts.ends[place][1],
                        )
                        for place in places
                    },
                    pending_jobs=pending,
                    ungraded_jobs=state.jobs.open if topic == "grading" else (),
                )
            )
        return accounts

    def expired(self, topic: TopicName) -> dict[Place, list[Stretch]]:
        """What is unaccounted of a topic and no longer in Kafka, as `read` found it.

        Nobody can read it any more: it is lost, unless whoever sent it sends it again.
        """
        facts, state = self._facts, self._state
        if facts is None or state is None:
            return {}
        found: dict[Place, list[Stretch]] = {}
        for partition in facts.of(topic):
            first, _ = facts.ends[partition]
            gaps = state.partitions[_key(facts.place(partition))].gaps(
                facts.committed.get(partition, first)
            )
            gone = [(start, min(until, first)) for start, until in gaps if start < first]
            if gone:
                found[facts.place(partition)] = gone
        return found

    def write_off(self, topic: TopicName, why: str) -> dict[Place, list[Stretch]]:
        """Declare what `expired` names as lost; the next look finds it accounted for.

        Raises:
            ClickHouseError: ClickHouse does not answer.
        """
        lost = self.expired(topic)
        if lost:
            self._ledger.write_off(topic, lost, why)
        return lost

    def store(self) -> None:
        """Keep what was read, so that a reader after this one goes on from here."""
        if self._state is not None:
            self._ledger.store(self._name, self._state)

    def unfinished(self) -> list[Unfinished]:
        """Labels that landed without a grade and were not graded since, by status.

        Raises:
            ClickHouseError: ClickHouse does not answer.
        """
        return self._ledger.unfinished()

    def close(self) -> None:
        """Release the connections to Kafka; the ClickHouse client is the caller's."""
        self._broker.close()

    def _ask(self) -> _Facts:
        partitions = self._broker.partitions()
        origins = self._broker.origins()
        acknowledged = self._broker.committed(self._groups.grader, partitions)
        committed = self._broker.committed(self._groups.intake, partitions)
        ends = self._broker.ends(partitions)
        return _Facts(partitions, origins, _kept(acknowledged, ends), _kept(committed, ends), ends)

    def _take_in(self, state: State, facts: _Facts) -> None:
        """Read the ledger where it is new; begin accounts of partitions that are."""
        places = {facts.place(partition): partition for partition in facts.partitions}
        known = {
            place: state.partitions[_key(place)]
            for place in places
            if _key(place) in state.partitions
        }
        unknown = [place for place in places if place not in known]
        entries: dict[Place, list[Entry]] = {}
        for place, entry in self._ledger.entries(known, unknown, state.at):
            entries.setdefault(place, []).append(entry)
        forgetful = datetime.now(UTC) - state.at > _LEDGER_MEMORY
        if forgetful and known:
            _LOG.warning(
                "accounts were last read at %s; what the ledger forgot since is not known", state.at
            )
        for place, partition in places.items():
            new = entries.get(place, [])
            begins = min(
                (entry.start for entry in new),
                default=facts.committed.get(partition, facts.ends[partition][0]),
            )
            if place not in known:
                known[place] = PartitionAccount(base=begins)
            elif forgetful:
                known[place].forgive(begins)
            for entry in new:
                known[place].add(entry)
        # Incarnations that are gone need no account any more.
        state.partitions = {_key(place): one for place, one in known.items()}

    def _look_at_jobs(self, jobs: JobsAccount, facts: _Facts) -> None:
        origin = facts.origins.get("grading", "")
        if not origin:
            return
        if jobs.origin != origin:
            jobs.origin, jobs.checked, jobs.round, jobs.open = origin, {}, None, []
        jobs.open = self._ledger.still_missing(origin, jobs.open)
        acknowledged = {p.number: offset for p, offset in facts.acknowledged.items()
                        if p.topic == "grading"}  # fmt: skip
        landed = {p: facts.committed.get(p, facts.ends[p][0]) for p in facts.of(*_RESULTS)}
        # One more time at once: when everything has landed a round opens and closes in one look.
        for _ in range(2):
            due = jobs.due(landed, {p.number: facts.committed.get(p, facts.ends[p][0])
                                    for p in facts.of("grading")})  # fmt: skip
            if due is not None:
                jobs.close(self._ledger.missing_jobs(origin, due))
            jobs.begin(acknowledged, {p: facts.ends[p][1] for p in facts.of(*_RESULTS)})


def read_accounts(
    settings: KafkaSettings, client: Client, groups: Groups | None = None
) -> list[TopicAccount]:
    """The accounts, once. See `AccountReader.read`."""
    reader = AccountReader(settings, client, groups or Groups())
    try:
        return reader.read()
    finally:
        reader.close()


def _kept(
    positions: Mapping[Partition, int], ends: Mapping[Partition, tuple[int, int]]
) -> dict[Partition, int]:
    """Positions that this incarnation of the topic can have."""
    return {
        place: offset
        for place, offset in positions.items()
        if place in ends and offset <= ends[place][1]
    }


def _key(place: Place) -> str:
    return f"{place[0]}/{place[1]}"
