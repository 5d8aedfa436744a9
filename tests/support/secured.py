"""A real Kafka that lets nobody in without a name: SCRAM, PLAIN or unsecured OAuth tokens, or client certificates."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from kafka_server import KafkaServer, NoKafka

PASSWORD = "pass-word-that-is-nowhere"  # noqa: S105 - of a broker that lives for a test
_MODULE = "org.apache.kafka.common.security"
_RIGHTS = {
    "in": (AclOperation.READ,),
    "out": (AclOperation.WRITE,),
    "dead": (AclOperation.WRITE,),
}


class Secured:
    """The broker, its certificates, and its administrator."""

    def __init__(self, server: KafkaServer, tls: Path) -> None:
        self.server, self.tls = server, tls
        self.admin = AdminClient(self.as_admin())

    def as_admin(self, **more: str) -> dict[str, str]:
        """Return the properties of a client that may do everything."""
        return {
            "bootstrap.servers": self.server.bootstrap_servers,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": "admin",
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(self.tls / "ca.pem"),
            "ssl.certificate.location": str(self.tls / "client.crt"),
            "ssl.key.location": str(self.tls / "client.key"),
            **more,
        }

    def topics(self, prefix: str) -> dict[str, str]:
        names = {kind: f"{prefix}-{kind}" for kind in ("in", "out", "dead")}
        for future in self.admin.create_topics([NewTopic(name, 2, 1) for name in names.values()]).values():
            future.result()
        return {
            "bootstrap_servers": self.server.bootstrap_servers,
            "input_topic": names["in"],
            "output_topic": names["out"],
            "dead_letter_topic": names["dead"],
            "group_id": f"{prefix}-group",
            "tls_ca": str(self.tls / "ca.pem"),
            "tls_certificate": str(self.tls / "client.crt"),
            "tls_key": str(self.tls / "client.key"),
        }

    def grant(self, user: str, prefix: str, *, but: str = "") -> None:
        """Give a user all rights that a worker needs, except those on `but`: in, out, dead, group or id."""
        rights = [
            *((ResourceType.TOPIC, f"{prefix}-{kind}", each) for kind, ops in _RIGHTS.items() for each in ops),
            (ResourceType.GROUP, f"{prefix}-group", AclOperation.READ),
            (ResourceType.TRANSACTIONAL_ID, f"{prefix}-id", AclOperation.WRITE),
        ]
        bindings = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for kind, name, operation in rights
            if not name.endswith(f"-{but}")
        ]
        for future in self.admin.create_acls(bindings).values():
            future.result()


@contextmanager
def running_secured(directory: Path) -> Iterator[Secured]:
    """Run one, or skip where there is no Kafka."""
    tls = directory / "tls"
    _certificates(tls)
    plain = f'{_MODULE}.plain.PlainLoginModule required user_admin="{PASSWORD}" user_worker="{PASSWORD}";'
    properties = {
        "listener.security.protocol.map": "PLAINTEXT:SASL_SSL,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,PLAIN,OAUTHBEARER",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
        "listener.name.plaintext.scram-sha-256.sasl.jaas.config": (
            f'{_MODULE}.scram.ScramLoginModule required username="admin" password="{PASSWORD}";'
        ),
        "listener.name.plaintext.plain.sasl.jaas.config": plain,
        "listener.name.plaintext.oauthbearer.sasl.jaas.config": (
            f'{_MODULE}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="admin";'
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tls / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tls / "ca.pem"),
        "listener.name.plaintext.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:ANONYMOUS",  # the controller's listener knows no names
        "auto.create.topics.enable": "false",
    }
    users = [f"--add-scram=SCRAM-SHA-256=[name={name},password={PASSWORD}]" for name in ("admin", "worker")]
    try:
        server = KafkaServer(directory, format_arguments=users, dotted=properties)
    except NoKafka as missing:
        pytest.skip(str(missing))
    try:
        server.launch()
        yield Secured(server, tls)
    finally:
        server.kill()


def _certificates(directory: Path) -> None:
    """Write ca.pem, broker.pem, client.crt and client.key, good for loopback."""
    directory.mkdir(parents=True)

    tool = shutil.which("openssl")
    if not tool:
        pytest.skip("no openssl, which makes the certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run([tool, *arguments], cwd=directory, check=True, capture_output=True)

    new = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test-ca")
    (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    for name in ("broker", "client"):
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "broker.key", "-out", "broker.p8")
    (directory / "broker.pem").write_text(
        (directory / "broker.p8").read_text() + (directory / "broker.crt").read_text()
    )
