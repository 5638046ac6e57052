"""A broker whose doors are locked: TLS, SCRAM, mutual TLS, OAuth, and an ACL for everything."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from tests.rigs.certificates import Certificate

from ragwheel.stack.kafka import KafkaBroker
from ragwheel.stack.processes import kept_port

_MODULES = "org.apache.kafka.common.security"
_ITERATIONS = 4096


class GuardedKafka(KafkaBroker):
    """Doors by name: `sasl` (SASL_SSL, SCRAM-SHA-512), `mtls` (SSL with a client's certificate) and
    `oauth` (SASL_SSL, OAUTHBEARER). The plain one, `bootstrap_servers`, is the administrator's.

    Args:
        certificate: the broker's.
        authority: whose certificates it trusts.
        jwks: file of the keys that sign OAuth's tokens.
    """

    def __init__(self, data_dir: Path, certificate: Certificate, authority: Path, jwks: Path):
        super().__init__(data_dir)
        self._both = certificate.together()
        self._authority = authority
        self._jwks = jwks
        self.doors: dict[str, str] = {}

    def grant(self, commands: str) -> None:
        """Apply the `acl …` lines of a shell script."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        for future in admin.create_acls(list(_bindings(commands))).values():
            future.result(10)

    def add_users(self, passwords: Mapping[str, str]) -> None:
        """Let these users in at `sasl`."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        changes: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, info, password.encode())
            for user, password in passwords.items()
        ]
        for future in admin.alter_user_scram_credentials(changes).values():
            future.result(10)

    def _prepare(self) -> list[str]:
        java, *rest = super()._prepare()
        config = self.data_dir / "server.properties"
        plain = dict(line.split("=", 1) for line in config.read_text().splitlines())
        ports = {
            name: kept_port(self.data_dir / f"{name}.port") for name in ("sasl", "mtls", "oauth")
        }
        self.doors = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        more = ",".join(f"{name.upper()}://{where}" for name, where in self.doors.items())
        locked = {
            "listeners": f"{plain['listeners']},{more}",
            "advertised.listeners": f"{plain['advertised.listeners']},{more}",
            "listener.security.protocol.map": plain["listener.security.protocol.map"]
            + ",SASL:SASL_SSL,MTLS:SSL,OAUTH:SASL_SSL",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:admin",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._both,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self._authority,
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.mtls.ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
            "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": (
                f"{_MODULES}.scram.ScramLoginModule required;"
            ),
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": (
                f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;"
            ),
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
                f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            "listener.name.oauth.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": (
                self._jwks.as_uri()
            ),
            "listener.name.oauth.oauthbearer.sasl.oauthbearer.expected.audience": "kafka",
        }
        config.write_text("".join(f"{key}={value}\n" for key, value in (plain | locked).items()))
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._jwks.as_uri()}"
        return [java, allowed, *rest]


def _bindings(commands: str) -> Iterator[AclBinding]:
    """The ACLs that the lines `acl USER OPTIONS…` would add by kafka-acls.sh."""
    parser = argparse.ArgumentParser()
    parser.add_argument("user")
    for name in ("operation", "topic", "group"):
        parser.add_argument(f"--{name}", action="append", default=[])
    parser.add_argument("--resource-pattern-type", default="literal")
    for line in commands.splitlines():
        if not line.startswith("acl "):
            continue
        given = parser.parse_args(shlex.split(line)[1:])
        resources = [(ResourceType.TOPIC, name) for name in given.topic]
        resources += [(ResourceType.GROUP, name) for name in given.group]
        for operation in given.operation:
            for kind, name in resources:
                yield AclBinding(
                    kind, name, ResourcePatternType[given.resource_pattern_type.upper()],
                    f"User:{given.user}", "*", AclOperation[operation.upper()],
                    AclPermissionType.ALLOW,
                )  # fmt: skip
