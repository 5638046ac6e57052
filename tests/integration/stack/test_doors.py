"""Everything works through locked doors with exactly the documented rights, and tells no secret."""

from __future__ import annotations

import re
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import orjson
import pytest
from tests.rigs.certificates import Authority, Certificate
from tests.rigs.children import end, module, spawn
from tests.rigs.doors import API_KEY, PASSWORDS, Door, Doors, command_lines, locked
from tests.rigs.grading import wait_until
from tests.rigs.servers import SharedClickHouse
from tests.unit.models.test_registry import add

from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.client import RagwheelClient
from ragwheel.operations.workers import WORKERS, WorkerName, worker_argv
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import (
    ClickHouseSettings,
    ClientSettings,
    KafkaSettings,
    TrainerSettings,
)
from ragwheel.serving.declared import DeclaredIndexes
from ragwheel.serving.naming import NamedModel, TopicListener
from ragwheel.trainers.trainer import Trainer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

EVENT = '{"event": "query", "query_id": "from-emit", "ts": "%s", "text": "?"}'
GRADED = "SELECT grade FROM v_labels WHERE query = '%s' AND status = 'graded' AND role = 'label'"
ROLLED_BACK = "SELECT reason FROM v_models WHERE reason = 'by %s'"
LETTERS = "SELECT dead_letter_id FROM v_dead_letters"
UNACCOUNTED = 'ragwheel_topic_unaccounted_messages{topic="labels"} 0.0'
WRONG = "wr0ng"
#: The server is none of them: what served last serves on, whoever refuses it.
ENDING: tuple[WorkerName, ...] = tuple(name for name in WORKERS if name != "server")


def _foreign(doors: Doors) -> Authority:
    folder = doors.folder / "foreign"
    folder.mkdir(exist_ok=True)
    return Authority(folder)


def _with(door: Door, **wrong: str) -> Callable[[Doors], KafkaSettings]:
    return lambda doors: doors.kafka_settings("client", door, KafkaSettings, **wrong)


def _with_certificate(doors: Doors, made: Certificate | None) -> KafkaSettings:
    files = {
        "kafka_ssl_certificate_location": str(made.certificate) if made else "",
        "kafka_ssl_key_location": str(made.key) if made else "",
        "kafka_ssl_key_password": "",
    }
    return doors.kafka_settings("client", "mtls", KafkaSettings, **files)


def _by_another_name(doors: Doors) -> KafkaSettings:
    other = doors.kafka.doors["sasl"].replace("127.0.0.1", "localhost")
    return doors.kafka_settings("client", "sasl", KafkaSettings, kafka_bootstrap_servers=other)


def _with_a_foreign_authority(doors: Doors) -> KafkaSettings:
    root = str(_foreign(doors).root.certificate)
    return doors.kafka_settings("client", "sasl", KafkaSettings, kafka_ssl_ca_location=root)


#: Wrong settings, and what is named.
FAULTS: dict[str, tuple[Callable[[Doors], KafkaSettings], str]] = {
    "password": (_with("sasl", kafka_sasl_password=WRONG), "SASL_USERNAME and _PASSWORD"),
    "user": (_with("sasl", kafka_sasl_username="nobody"), "SASL_USERNAME and _PASSWORD"),
    "no user": (_with("sasl", kafka_sasl_username=""), "SASL_USERNAME is empty"),
    "mechanism": (_with("sasl", kafka_sasl_mechanism="PLAIN"), "SASL_MECHANISM"),
    "client's secret": (_with("oauth", kafka_oauth_client_secret=WRONG), "OAUTH_"),
    "no file": (_with("sasl", kafka_ssl_ca_location="/no/ca.pem"), "SSL_CA_LOCATION: there is no"),
    "another name": (_by_another_name, "SSL_CA_LOCATION and the name in RAGWHEEL_KAFKA_BOOTSTRAP"),
    "key's password": (_with("mtls", kafka_ssl_key_password=WRONG), "ssl.key.location failed"),
    "foreign broker": (_with_a_foreign_authority, "SSL_CA_LOCATION"),
    "no certificate": (lambda doors: _with_certificate(doors, None), "SSL_CERTIFICATE_LOCATION"),
    "foreign certificate": (
        lambda doors: _with_certificate(doors, _foreign(doors).issue("ragwheel-client")),
        "SSL_CERTIFICATE_LOCATION",
    ),
    "expired certificate": (
        lambda doors: _with_certificate(doors, doors.authority.issue_expired("late")),
        "SSL_CERTIFICATE_LOCATION",
    ),
}


@pytest.fixture(scope="module")
def doors(
    clickhouse_server: SharedClickHouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Doors]:
    database = f"t_{uuid.uuid4().hex[:10]}"
    direct = load(ClickHouseSettings, clickhouse_url=clickhouse_server.url(database))
    with locked(tmp_path_factory.mktemp("doors"), direct) as made:
        yield made
    admin = load(ClickHouseSettings, clickhouse_url=clickhouse_server.url("default"))
    with closing(connect(admin)) as client:
        client.command(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture(scope="module")
def prepared(doors: Doors) -> Doors:
    """With topics and tables, made by those who may."""
    for name in ("topics", "migrate"):
        done = doors.command(name, "sasl", name)
        assert done.returncode == 0, done.stderr
    return doors


@pytest.mark.parametrize("door", ["sasl", "mtls", "oauth"])
def test_a_follower_of_promotions_reads_one_topic_and_one_view_with_its_rights_alone(
    prepared: Doors, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    doors, heard = prepared, list[NamedModel]()
    _roll_back(doors, door)
    listener = TopicListener(doors.kafka_settings("server", door, KafkaSettings), heard.append)
    listener.start()
    try:
        wait_until(lambda: bool(heard), "what serves was heard")
    finally:
        listener.close()
    assert heard[-1].model_id == "", "after the rollback the base model"
    declared = DeclaredIndexes(doors.clickhouse_settings("server"))
    assert declared.fingerprint_of("docs") == ""
    assert doors.clickhouse.refusals == []
    assert caplog.text == "", "no refusal, and no secret"


@pytest.mark.parametrize("door", ["sasl", "mtls", "oauth"])
def test_each_process_works_with_its_rights_alone_and_tells_no_secret(
    prepared: Doors, door: Door
) -> None:
    doors, text = prepared, f"how do I open a door by {door}?"
    workers: tuple[Literal["intake", "accounts", "grader"], ...] = ("intake", "accounts", "grader")
    with ExitStack() as running:
        for name in workers:
            running.enter_context(doors.worker(name, door))
        client = RagwheelClient(doors.kafka_settings("client", door, ClientSettings))
        query_id = client.emit_query(text)
        client.emit_retrieval(query_id, text, [("c-1", 0.9, text), ("c-2", 0.5, "no")], stage="all")
        client.close()
        assert client.stats().total.delivered == 2
        _roll_back(doors, door)
        wait_until(lambda: len(doors.rows(GRADED % text)) == 2, "the labels have landed")
        wait_until(lambda: bool(doors.rows(ROLLED_BACK % door)), "the model's event has landed")
        wait_until(lambda: UNACCOUNTED in doors.shown("accounts"), "the accounts are shown")
        said = [command_lines(), *map(doors.shown, workers)]
    assert doors.clickhouse.refusals == []
    logs = [doors.log(name, door).read_text() for name in workers]
    assert [log for log in logs if "Traceback" in log or "authoriz" in log.lower()] == []
    assert_no_secret("\n".join([*said, *logs]))


def test_commands_work_with_their_rights_alone_and_tell_no_secret(prepared: Doors) -> None:
    doors = prepared
    with doors.worker("intake", "sasl"):
        event = EVENT % datetime.now(UTC).isoformat()
        sent = doors.command("client", "sasl", "emit", "--file", "-", given=event)
        sender = kafka.producer(
            doors.kafka_settings("client", "sasl", KafkaSettings), enable_idempotence=False
        )
        sender.produce("ragwheel.queries", b"{", b"k")
        assert sender.flush(20) == 0
        wait_until(lambda: bool(doors.rows(LETTERS)), "the dead letter has landed")
        again = doors.command("operator", "sasl", "replay", "--reason", "malformed_json", "--force")
        status = doors.command("operator", "sasl", "status", "--json")
    nothing = doors.command("reembed", "sasl", "reembed", "status")
    assert "nothing was planned" in nothing.stderr
    assert [done.returncode for done in (sent, again)] == [0, 0], sent.stderr + again.stderr
    assert orjson.loads(status.stdout)["unaccounted"] == 0, status.stderr
    assert doors.clickhouse.refusals == []
    assert_no_secret((doors.folder / "commands.log").read_text())


def test_a_stack_beside_locked_servers_works_and_keeps_no_secret(prepared: Doors) -> None:
    home, log = prepared.folder / "home", prepared.folder / "up.log"
    others = [f"--without={name}" for name in ("kafka", "clickhouse", "llm")]
    env = prepared.environment("admin", "sasl") | {"RAGWHEEL_HOME": str(home)}
    process = spawn(module("ragwheel.cli", "up", *others), log, env)
    try:
        wait_until(
            lambda: "training when" in _written(home) or process.poll() is not None,
            "it trains",
            timeout_s=240,
        )
        assert process.poll() is None, log.read_text()
        said = command_lines()
        process.send_signal(signal.SIGINT)
        process.wait(30)
    finally:
        end(process)
    assert "RAGWHEEL_CLICKHOUSE_URL" in (home / "state.json").read_text()
    assert "RAGWHEEL_CLICKHOUSE_URL" in log.read_text()
    assert_no_secret(said + _written(home) + log.read_text())


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_refused_is_told_in_one_line_that_names_the_setting(
    doors: Doors, fault: str
) -> None:
    settings, named = FAULTS[fault]
    with pytest.raises(ConfigError) as refused:
        kafka.require_broker(settings(doors))
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert_no_secret(str(refused.value))


@pytest.mark.parametrize(
    ("wrong", "names", "status", "named"),
    [
        ({"kafka_sasl_password": WRONG}, ENDING, 78, "RAGWHEEL_KAFKA_SASL_USERNAME"),
        ({"clickhouse_password": WRONG}, ENDING, 78, "RAGWHEEL_CLICKHOUSE_PASSWORD"),
        ({"clickhouse_ca_location": ""}, ["intake"], 78, "RAGWHEEL_CLICKHOUSE_CA_LOCATION"),
        # Accounts wait for what may still come.
        ({"topic_prefix": "nobody."}, ["intake", "grader"], 69, "ragwheel topics"),
    ],
    ids=["kafka", "clickhouse", "certificate", "topics"],
)
def test_a_process_that_is_refused_ends_in_one_line_and_a_documented_status(
    prepared: Doors,
    tmp_path: Path,
    wrong: dict[str, str],
    names: list[WorkerName],
    status: int,
    named: str,
) -> None:
    processes = {}
    try:
        for name in names:
            env = prepared.environment(name, "sasl", metrics_port=-1, **wrong)
            processes[name] = spawn(worker_argv(name), tmp_path / name, env)
        for name, process in processes.items():
            ended, log = process.wait(60), (tmp_path / name).read_text()
            assert ended == status, log
            assert len([line for line in log.splitlines() if named in line]) == 1, log
            assert "Traceback" not in log
            assert_no_secret(log)
    finally:
        for process in processes.values():
            end(process)


def test_the_client_names_the_setting_and_the_service_goes_on(
    doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {"kafka_sasl_password": WRONG, "client_message_timeout_s": 2}
    client = RagwheelClient(doors.kafka_settings("client", "sasl", ClientSettings, **wrong))
    client.emit_query("?")
    wait_until(lambda: client.stats().total.failed == 1, "the event counts as failed")
    client.close()
    assert "RAGWHEEL_KAFKA_SASL_USERNAME and _PASSWORD" in caplog.text
    assert_no_secret(caplog.text)


def assert_no_secret(text: str) -> None:
    """No password and no tail of one: what a URL parser would take for a path or a host."""
    for secret in (*PASSWORDS.values(), API_KEY, WRONG):
        for written in (secret, quote(secret, safe=""), *re.split(r"[/@#:?]", secret)):
            if len(written) > 4:
                at = text.find(written)
                assert at < 0, f"{written!r} in {text[max(0, at - 200) : at + 100]!r}"


def _roll_back(doors: Doors, door: Door) -> None:
    """What the trainer writes to Kafka and reads in ClickHouse, without the training."""
    ways = (
        doors.kafka_settings("trainer", door, KafkaSettings),
        doors.clickhouse_settings("trainer"),
    )
    chosen = {field: getattr(way, field) for way in ways for field in way.model_fields_set}
    models = Path(tempfile.mkdtemp(prefix=f"models.{door}.", dir=doors.folder))
    settings = load(TrainerSettings, **chosen, model_dir=models)
    kafka.require_topics(settings, ("grading", "models"))
    with Trainer(settings) as trainer:
        trainer.registry.promote(
            add(trainer.registry), "for the test", datetime.now(UTC), measured=None
        )
        trainer.roll_back(f"by {door}")
        assert trainer.scheduler.progress().threshold


def _written(folder: Path) -> str:
    """Everything that a stack wrote as text."""
    files = [path for path in folder.rglob("*") if path.suffix in (".log", ".json")]
    return "\n".join(path.read_text(errors="replace") for path in files)
