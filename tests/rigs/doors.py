"""A whole loop behind locked doors: every process has a user, odd passwords and few rights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from tests.rigs.certificates import Authority, Certificate
from tests.rigs.children import end, environment, module, spawn
from tests.rigs.grading import JUDGE, LABELER, TestLlm, running_llm, wait_until
from tests.rigs.guarded_clickhouse import Grants, GuardedClickHouse
from tests.rigs.guarded_kafka import GuardedKafka
from tests.rigs.tokens import token_endpoint

from ragwheel.backends.clickhouse import connect
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.stack.processes import free_port

Door = Literal["sasl", "mtls", "oauth"]
_Kafka = TypeVar("_Kafka", bound=KafkaSettings)
_Worker = Literal["intake", "accounts", "grader", "trainer"]

DOCUMENT = Path(__file__).parents[2] / "docs/security.md"
#: Each user's password, in Kafka, at the token endpoint and in ClickHouse.
PASSWORDS = {
    "admin": "adm1n/#@%:? '\"ö",
    "client": "cl1ent/with#hash@at",
    "topics": "t0pics 100%: sure?",
    "migrate": "m1grate/#@%41:?",
    "intake": "1ntake%2Fslash@host/x",
    "accounts": "acc0unts 'quoted\" text",
    "grader": "gr4der/päss#wörd@",
    "trainer": "tr4iner?a=b&c:d",
    "server": "s3rver&=;+%20@",
    "reembed": "re3mbed?/#:@",
    "operator": "0perator//@@##%%",
}
#: Who stands for a user of Kafka that ClickHouse does not know.
_CLICKHOUSE_USERS = {"admin": "migrate", "topics": "operator", "client": "operator"}
API_KEY = "sk-l1ve/#@%:?"
_MODULES = {
    "intake": "ragwheel.intake",
    "accounts": "ragwheel.accounting",
    "grader": "ragwheel.grading",
    "trainer": "ragwheel.trainers",
}
#: Said once it works.
_READY = {
    "intake": "assigned: ",
    "accounts": "accounts of",
    "grader": "metrics at",
    "trainer": "training when",
}


@dataclass
class Doors:
    """Broker, database and LLM, and what was started between them."""

    folder: Path
    authority: Authority
    kafka: GuardedKafka
    clickhouse: GuardedClickHouse
    direct: ClickHouseSettings
    token_url: str
    llm: TestLlm
    certificates: dict[str, Certificate] = field(default_factory=dict)
    metrics: dict[str, int] = field(default_factory=dict)

    def kafka_settings(self, user: str, door: Door, kind: type[_Kafka], **more: Any) -> _Kafka:
        """Settings that lead `user` through `door`."""
        ways: dict[Door, dict[str, Any]] = {
            "sasl": {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_username": _kafka_user(user),
                "kafka_sasl_password": PASSWORDS.get(user, "unknown"),
            },
            "mtls": {"kafka_security_protocol": "SSL"},
            "oauth": {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": "OAUTHBEARER",
                "kafka_oauth_token_url": self.token_url,
                "kafka_oauth_client_id": _kafka_user(user),
                "kafka_oauth_client_secret": PASSWORDS.get(user, "unknown"),
            },
        }
        if door == "mtls":
            mine = self.certificate(user)
            ways["mtls"] |= {
                "kafka_ssl_certificate_location": str(mine.certificate),
                "kafka_ssl_key_location": str(mine.key),
                "kafka_ssl_key_password": PASSWORDS[user],
            }
        chosen = {
            "kafka_bootstrap_servers": self.kafka.doors[door],
            "kafka_ssl_ca_location": str(self.authority.root.certificate),
            **ways[door],
            **more,
        }
        return load(kind, **chosen)

    def clickhouse_settings(self, user: str) -> ClickHouseSettings:
        """Settings that lead `user` to the database."""
        return load(
            ClickHouseSettings,
            clickhouse_url=self.clickhouse.url,
            clickhouse_user=f"ragwheel_{user}",
            clickhouse_password=PASSWORDS[user],
            clickhouse_ca_location=str(self.authority.root.certificate),
        )

    def certificate(self, user: str) -> Certificate:
        """The user's, its key locked with the user's password."""
        if user not in self.certificates:
            self.certificates[user] = self.authority.issue(
                _kafka_user(user), password=PASSWORDS[user]
            )
        return self.certificates[user]

    def environment(self, user: str, door: Door, **more: Any) -> dict[str, str]:
        """Variables of a process of `user`; `more` are settings."""
        env = environment(
            self.kafka_settings(user, door, KafkaSettings),
            self.clickhouse_settings(_CLICKHOUSE_USERS.get(user, user)),
        )
        chosen = {
            "llm_base_url": f"{self.llm.address}/v1",
            "llm_api_key": API_KEY,
            "llm_model": LABELER,
            "judge_model": JUDGE,
            "sample_rate": 1,
            "intake_batch_s": 0.2,
            "accounts_refresh_s": 0.2,
            "session_timeout_s": 6,
            "model_dir": self.folder / "models",
            "vector_cache_dir": self.folder / "vectors",
            **more,
        }
        return env | {f"RAGWHEEL_{name.upper()}": str(value) for name, value in chosen.items()}

    @contextmanager
    def worker(self, name: _Worker, door: Door, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A worker that works inside the block, and ends in order."""
        log = self.log(name, door)
        self.metrics[name] = free_port()
        env = self.environment(name, door, metrics_port=self.metrics[name], **more)
        process = spawn(module(_MODULES[name]), log, env)
        try:
            wait_until(
                lambda: _READY[name] in _text(log) or process.poll() is not None, f"{name} works"
            )
            assert process.poll() is None, _text(log)
            yield process
            process.terminate()
            assert process.wait(30) == 0, _text(log)
        finally:
            end(process)

    def log(self, name: str, door: Door) -> Path:
        """What a worker said."""
        return self.folder / f"{name}.{door}.log"

    def command(
        self, user: str, door: Door, *arguments: str, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """`ragwheel …`, run to its end; what it said is kept in the folder too."""
        done = subprocess.run(
            [sys.executable, "-m", "ragwheel.cli", *arguments],
            env=self.environment(user, door),
            input=given,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=self.folder,
        )
        with (self.folder / "commands.log").open("a") as file:
            file.write(f"{done.stdout}{done.stderr}")
        return done

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """Result of a query that the guard does not see."""
        with closing(connect(self.direct)) as client:
            return client.query(sql).result_rows

    def shown(self, name: str) -> str:
        """The worker's /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics[name]}/metrics") as answer:
            return str(answer.read().decode())


@contextmanager
def locked(folder: Path, direct: ClickHouseSettings) -> Iterator[Doors]:
    """Everything locked, with the rights of docs/security.md; `direct` is what it stands before."""
    document = DOCUMENT.read_text("utf-8")
    [grants] = re.findall(r"```sql\n(.*?)```", document, re.DOTALL)
    [acls] = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    at = direct.clickhouse_url.address()
    authority = Authority(folder)
    server = authority.issue("server", address="127.0.0.1")
    users = {_kafka_user(user): password for user, password in PASSWORDS.items()}
    with (
        running_llm(folder) as llm,
        token_endpoint(folder, users) as token_url,
        GuardedClickHouse(
            at,
            {f"ragwheel_{user}": password for user, password in PASSWORDS.items()},
            Grants(grants, at.database),
            server,
        ) as clickhouse,
        GuardedKafka(
            folder / "kafka", server, authority.root.certificate, folder / "jwks.json"
        ) as kafka,
    ):
        kafka.add_users(users)
        kafka.grant(acls)
        yield Doors(folder, authority, kafka, clickhouse, direct, token_url, llm)


def _kafka_user(user: str) -> str:
    return "admin" if user == "admin" else f"ragwheel-{user}"


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def command_lines() -> str:
    """Arguments of every process that may be seen here."""
    lines = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                lines.append(Path("/proc", name, "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(lines).replace("\0", " ")
