"""The grader process on a real broker: what it survives, and that nothing is lost or invented."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.rigs.grading import (
    JUDGE,
    LABELER,
    SESSION_S,
    Reader,
    Rig,
    job,
    pairs,
    running_llm,
    wait_until,
)

from ragwheel.backends import kafka
from ragwheel.schemas import deadletters
from ragwheel.schemas.events import Label
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.stack.kafka import KafkaBroker
from ragwheel.stack.processes import free_port, listens

pytestmark = [pytest.mark.integration, pytest.mark.spread]


@pytest.fixture
def rig(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Rig]:
    kafka.create_topics(kafka_settings)
    with running_llm(tmp_path) as llm:
        made = Rig(kafka_settings, llm, tmp_path)
        yield made
        for grader in made.graders:
            grader.end()


def has_labels(reader: Reader, floor: int) -> bool:
    return reader.label_count() >= floor


def _grades(labels: list[Label]) -> dict[tuple[str, str], int | None]:
    """Grades by pair. Copies of a label must agree, or the identity would not be one."""
    found: dict[tuple[str, str], int | None] = {}
    for label in labels:
        pair = (label.query_hash, label.chunk_hash)
        assert found.setdefault(pair, label.grade) == label.grade
    return found


@pytest.mark.slow
def test_every_fault_of_the_llm_ends_in_the_right_grade_and_the_accounts_agree(rig: Rig) -> None:
    jobs = [job(number) for number in range(60)]
    rig.llm.configure(
        script=[{"kind": kind, "seconds": 0.2} for kind in ("hang", "rate_limit", "disconnect")],
        rates=[
            {"kind": kind, "rate": 0.025, "seconds": 0.1}
            for kind in (
                "rate_limit", "server_error", "disconnect", "broken_body", "broken_json", "prose",
                "missing", "invented", "duplicate", "wrong_type", "out_of_range", "truncated",
                "refusal", "content_filter",
            )
        ],
        seed=11,
    )  # fmt: skip
    rig.send(jobs)
    grader = rig.grader()
    grader.start()
    with rig.reading("labels") as reader:
        wait_until(lambda: reader.label_count() == 1_200, "1200 labels")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert grader.terminate() == 0
        reader.poll()
        labels = reader.labels()
    assert len(labels) == 1_200  # no kill, no copy
    statuses = Counter(label.status for label in labels)
    # 36 % of calls fail somehow; three rounds and retries bring home nearly all.
    assert statuses["graded"] >= 1_150, statuses
    truth = pairs(jobs)
    for label in labels:
        if label.status == "graded":
            assert label.grade == truth[label.query_hash, label.chunk_hash]
        else:
            assert label.grade is None
            assert label.reason
    ledger = rig.llm.ledger()
    assert len(ledger["faults"]) >= 14, ledger["faults"]
    assert sum(label.input_tokens for label in labels) == ledger["input_tokens"]
    assert sum(label.output_tokens for label in labels) == ledger["output_tokens"]


@pytest.mark.slow
def test_after_kill_9_in_mid_batch_every_pair_is_labelled_and_copies_collapse(rig: Rig) -> None:
    jobs = [job(number) for number in range(80)]
    rig.send(jobs)
    grader = rig.grader(RAGWHEEL_LLM_CONCURRENCY="8", RAGWHEEL_GRADER_WINDOW="32")
    with rig.reading("labels") as reader:
        for floor in (100, 400):
            rig.llm.stall_after(floor // 5)
            grader.start()
            wait_until(partial(has_labels, reader, floor), f"{floor} labels")
            grader.kill()
            assert reader.label_count() < 1_600, "killed too late to prove anything"
        rig.llm.configure()
        grader.start()
        wait_until(lambda: reader.label_count() == 1_600, "1600 labels")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert grader.terminate() == 0
        labels = reader.labels()
    assert _grades(labels) == pairs(jobs)
    assert len({label.label_id for label in labels}) == 1_600


@pytest.mark.slow
def test_sigterm_in_mid_batch_loses_nothing_and_ends_with_status_0(rig: Rig) -> None:
    jobs = [job(number) for number in range(60)]
    rig.llm.stall_after(16)
    rig.send(jobs)
    grader = rig.grader(RAGWHEEL_LLM_CONCURRENCY="4", RAGWHEEL_GRADER_STOP_S="1")
    grader.start()
    with rig.reading("labels") as reader:
        wait_until(lambda: reader.label_count() >= 100, "the first labels")
        assert grader.terminate() == 0
        at_stop = reader.label_count()
        assert at_stop < 1_200, "stopped too late to prove anything"
        # What was acknowledged is in Kafka: jobs committed times 20 are at most the labels there.
        assert (60 - rig.lag()) * 20 <= at_stop
        rig.llm.configure()
        grader.start()
        wait_until(lambda: reader.label_count() == 1_200, "1200 labels")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert grader.terminate() == 0
        assert _grades(reader.labels()) == pairs(jobs)


def test_poison_jobs_are_dead_lettered_and_stall_nothing(rig: Rig) -> None:
    good = [job(number, chunks=5) for number in range(12)]
    key = good[0].query_hash.encode()
    poisons: list[tuple[bytes | None, bytes | None]] = [
        (key, b"not json"),
        (key, b"\xff\xfe\x00"),
        (None, b"{}"),
        (key, None),
        (key, b'{"event": "job", "schema_version": 7}'),
        (b"wrong key", good[0].model_dump_json().encode()),
    ]
    rig.send([*poisons[:3], *good[:6], *poisons[3:], *good[6:], *poisons])
    grader = rig.grader()
    grader.start()
    with rig.reading("labels") as reader, rig.reading("deadletters") as dead:
        wait_until(lambda: reader.label_count() == 60, "60 labels")
        wait_until(lambda: rig.lag() == 0, "poison acknowledged as well")
        dead.poll()
        letters = [
            deadletters.from_message(
                each.key(), each.value(), each.headers() or [], position=(0, 0), timestamp_ms=0
            )
            for each in dead.messages
        ]
    assert grader.terminate() == 0
    assert Counter((each.key, each.payload) for each in letters) == Counter(poisons * 2)
    assert {each.reason for each in letters} == {
        "malformed_json", "not_utf8", "unknown_event", "unknown_schema_version", "key_mismatch",
    }  # fmt: skip
    assert len({each.dead_letter_id for each in letters}) == 12


@pytest.mark.slow
def test_a_retry_after_longer_than_the_session_costs_no_rebalance_and_no_label(rig: Rig) -> None:
    jobs = [job(number) for number in range(10)]
    hold_s = SESSION_S * 1.5
    rig.llm.configure(script=[{"kind": "rate_limit", "seconds": hold_s}])
    rig.send(jobs)
    grader = rig.grader(RAGWHEEL_LLM_CONCURRENCY="1")
    grader.start()
    wait_until(lambda: rig.llm.ledger()["faults"] == {"rate_limit": 1}, "the server said 429")
    started = time.monotonic()
    (member,) = rig.members()
    with rig.reading("labels") as reader:
        wait_until(lambda: time.monotonic() - started > hold_s - 2, "most of the hold")
        assert rig.llm.ledger()["requests"] == 1  # nobody calls during the hold
        wait_until(lambda: reader.label_count() == 200, "200 labels")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert rig.members() == {member}
        assert grader.terminate() == 0
        labels = reader.labels()
    assert len(labels) == 200
    assert _grades(labels) == pairs(jobs)


@pytest.mark.slow
def test_a_key_that_is_refused_for_a_while_costs_no_label_and_the_paused_jobs_are_read(
    rig: Rig,
) -> None:
    """Far more jobs than the window holds: partitions are paused, and taken up again."""
    rig.llm.configure(rates=[{"kind": "unauthorized", "rate": 1.0}])
    rig.send([job(number, 3) for number in range(60)])
    grader = rig.grader(RAGWHEEL_GRADER_WINDOW="4")
    grader.start()
    with rig.reading("labels") as reader:
        wait_until(lambda: "takes no calls (HTTP 401" in grader.log, "it says that calls are held")
        refused = rig.llm.ledger()["requests"]
        wait_until(lambda: rig.llm.ledger()["requests"] > refused, "a probe")
        assert reader.message_count() == 0
        assert rig.lag() == 60
        rig.llm.configure()
        wait_until(lambda: reader.label_count() == 180, "180 labels")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert grader.terminate() == 0
        reader.poll()
        assert {label.status for label in reader.labels()} == {"graded"}
        assert len(reader.labels()) == 180


@pytest.mark.slow
def test_a_second_worker_takes_over_partitions_and_nothing_is_lost(rig: Rig) -> None:
    jobs = [job(number) for number in range(80)]
    rig.llm.stall_after(16)
    rig.send(jobs)
    first = rig.grader(RAGWHEEL_LLM_CONCURRENCY="4")
    second = rig.grader(RAGWHEEL_LLM_CONCURRENCY="4")
    first.start()
    with rig.reading("labels") as reader:
        wait_until(lambda: reader.label_count() >= 100, "the first worker is at work")
        second.start()
        wait_until(lambda: len(rig.members()) == 2, "two members")
        assert reader.label_count() < 1_600, "joined too late to prove anything"
        rig.llm.configure()
        wait_until(lambda: reader.label_count() == 1_600, "1600 labels")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert (first.terminate(), second.terminate()) == (0, 0)
        labels = reader.labels()
    assert _grades(labels) == pairs(jobs)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_broker_that_is_killed_and_comes_back_costs_nothing(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path / "kafka") as broker, running_llm(tmp_path) as llm:
        settings = load(KafkaSettings, kafka_bootstrap_servers=broker.bootstrap_servers)
        kafka.create_topics(settings)
        rig = Rig(settings, llm, tmp_path)
        jobs = [job(number) for number in range(40)]
        llm.stall_after(16)
        rig.send(jobs)
        grader = rig.grader(RAGWHEEL_LLM_CONCURRENCY="4")
        grader.start()
        try:
            with rig.reading("labels") as reader:
                wait_until(partial(has_labels, reader, 100), "the first labels")
                assert reader.label_count() < 800, "killed too late to prove anything"
            broker.kill()
            llm.configure()
            broker.start()
            with rig.reading("labels") as reader:
                wait_until(lambda: reader.label_count() == 800, "800 labels", 240)
                wait_until(lambda: rig.lag() == 0, "all jobs acknowledged", 240)
                assert _grades(reader.labels()) == pairs(jobs)
            assert grader.terminate() == 0
        finally:
            grader.end()


def test_labels_and_judgments_come_from_different_models_and_a_repeat_costs_nothing(
    rig: Rig,
) -> None:
    rig.send([job(1), job(1, role="judge"), job(1)])
    grader = rig.grader()
    grader.start()
    with rig.reading("labels") as reader:
        wait_until(lambda: reader.label_count() == 40, "40 labels")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert grader.terminate() == 0
        reader.poll()
        labels = reader.labels()
    assert Counter((label.role, label.model) for label in labels) == {
        ("label", LABELER): 40,
        ("judge", JUDGE): 20,
    }
    assert len({label.label_id for label in labels}) == 40
    assert rig.llm.ledger()["models"] == {LABELER: 2, JUDGE: 2}
    assert rig.llm.ledger()["pairs_asked_again"] == 0


@pytest.mark.parametrize(
    ("settings", "status", "told"),
    [
        ({"RAGWHEEL_LLM_BASE_URL": "localhost/v1"}, 78, "RAGWHEEL_LLM_BASE_URL="),
        ({"RAGWHEEL_LLM_BASE_URL": "http://127.0.0.1:1/v1"}, 69, "RAGWHEEL_LLM_BASE_URL"),
        ({"RAGWHEEL_LLM_MODEL": "no-such-model"}, 78, "'no-such-model' is not found"),
        ({"RAGWHEEL_JUDGE_MODEL": LABELER}, 78, "RAGWHEEL_JUDGE_MODEL is"),
        ({"RAGWHEEL_RUBRIC_DIR": "/no/such/folder"}, 78, "RAGWHEEL_RUBRIC_DIR=/no/such/folder"),
        ({"RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 69, "KAFKA_BOOTSTRAP_SERVERS"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_setting_is_one_line_that_names_it_and_an_exit_status(
    rig: Rig, settings: dict[str, str], status: int, told: str
) -> None:
    grader = rig.grader(**settings)
    grader.start()
    assert grader.process is not None
    assert grader.process.wait(40) == status
    errors = [line for line in grader.log.splitlines() if "CRITICAL" in line]
    assert len(errors) == 1, grader.log
    assert told in errors[0]
    assert "Traceback" not in grader.log


def test_without_a_key_the_grader_waits_says_so_once_and_takes_no_job(rig: Rig) -> None:
    rig.send([job(1)])
    port = free_port()
    grader = rig.grader(RAGWHEEL_LLM_API_KEY="", RAGWHEEL_METRICS_PORT=str(port))
    grader.start()
    assert grader.process is not None
    wait_until(lambda: listens(port), "the metrics are served")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert "ragwheel_grader_configured 0.0" in answer.read().decode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
        assert answer.status == 200
    assert grader.process.poll() is None
    assert rig.members() == set()
    assert grader.terminate() == 0
    assert grader.log.count("RAGWHEEL_LLM_API_KEY is not set") == 1
    assert "Traceback" not in grader.log

    configured = rig.grader()
    configured.start()
    with rig.reading("labels") as reader:
        wait_until(lambda: reader.label_count() == 20, "what waited is graded")
    assert configured.terminate() == 0
