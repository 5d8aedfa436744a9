"""Starts a real Apache Kafka from the jars of KAFKA_HOME, else of ../shared/kafka beside the checkout."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0

_JAVA = ("java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A member of the new protocol is missed, and told of others, as soon as one of the old.
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "3000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    # After a kill -9 the old registration must lapse before the new one is taken.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}


class NoKafka(Exception):
    """There is no real Kafka to be found here."""


def libraries() -> Path:
    """Return the folder of Kafka's jars; raise `NoKafka` saying what was looked for."""
    home = os.environ.get("KAFKA_HOME")
    candidates = ([Path(home) / "libs"] if home else []) + [ROOT.parent / "shared" / "kafka" / "libs"]
    found = next((path for path in candidates if path.is_dir()), None)
    if not found:
        raise NoKafka("no real Kafka: set TEST_BOOTSTRAP_SERVERS, or KAFKA_HOME to an unpacked distribution")
    if not shutil.which("java"):
        raise NoKafka("no java on the PATH; Kafka needs 17 or newer")
    return found


class KafkaServer:
    """A single-node broker on loopback, with KRaft; `launch` after `kill` starts it again on the same data."""

    def __init__(
        self,
        directory: Path,
        proxy_port: int = 0,
        *,
        format_arguments: Sequence[str] = (),
        dotted: Mapping[str, str] = MappingProxyType({}),
        **properties: str,
    ) -> None:
        """With `proxy_port` it also listens on `proxied_port`, and says there that it is to be found at the former."""
        self._classpath = f"{libraries()}/*"
        self.directory, self.port = directory, _free_port()
        controller, self.proxied_port = _free_port(), _free_port()
        second = ",PROXIED://127.0.0.1:{}" if proxy_port else ""
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        merged = {
            **_PROPERTIES,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}{second.format(self.proxied_port)}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}{second.format(proxy_port)}",
            "log.dirs": str(directory / "logs"),
            **{name.replace("_", "."): value for name, value in properties.items()},
            **dotted,
        }
        directory.mkdir(parents=True, exist_ok=True)
        self._config = directory / "server.properties"
        self._config.write_text("".join(f"{name}={value}\n" for name, value in merged.items()))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ("format", f"--cluster-id={cluster}", "-c", str(self._config), *format_arguments)
        subprocess.run(self._java("kafka.tools.StorageTool", *arguments), check=True, stdout=subprocess.DEVNULL)

    def launch(self) -> None:
        with (self.directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(self._java("kafka.Kafka", str(self._config)), stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the broker ended with {self._process.returncode}; see {self.directory}/broker.log")
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"no answer on {self.bootstrap_servers} within {START_SECONDS} s")

    def tool(self, main: str, *arguments: str) -> str:
        """Run one of Kafka's own tools by its main class and return what it prints."""
        command = self._java(main, *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _java(self, main: str, *arguments: str) -> list[str]:
        return [*_JAVA, "-cp", self._classpath, main, *arguments]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
