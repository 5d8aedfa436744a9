"""The brokers that tests run against, and the topics they make there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from kafka_server import KafkaServer, NoKafka

PARTITIONS = 4

# An empty fetch waits this long whatever arrives meanwhile, and a member that left is missed only after its session.
_EMBEDDED = {"kafka_consumer_fetch_wait_max_ms": "50", "kafka_consumer_session_timeout_ms": "6000"}


@dataclass
class Broker:
    """A broker to test against. `server` is there where the test may stop and start it."""

    bootstrap_servers: str
    real: bool
    server: KafkaServer | None = None
    defaults: dict[str, str] = field(default_factory=dict)  # settings of every worker
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def topic(self, name: str, **config: str) -> str:
        """Make a topic of four partitions and return its name, new for every test; a real broker takes `config`."""
        full = f"{name}-{self.prefix}"
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        if self.real:
            # Some tests' records are from long ago; retention would remove them half a minute after the broker's start.
            properties = {"retention.ms": "-1"} | {name.replace("_", "."): value for name, value in config.items()}
            for future in client.create_topics([NewTopic(full, PARTITIONS, 1, config=properties)]).values():
                future.result()
        else:
            client.list_topics(full, timeout=10)  # the embedded broker makes what it is asked for
        return full

    def settings(self, **changes: str) -> dict[str, str]:
        """Return settings of a worker on topics of its own."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "input_topic": self.topic("in"),
            "output_topic": self.topic("out"),
            "dead_letter_topic": self.topic("dead"),
            "group_id": f"group-{self.prefix}",
            **({} if self.real else _EMBEDDED),
            **self.defaults,
            **changes,
        }


@contextmanager
def running_kafka(directory: Path, proxy_port: int = 0, **properties: str) -> Iterator[KafkaServer]:
    """Run a Kafka of one's own, or skip where there is none."""
    try:
        server = KafkaServer(directory, proxy_port, **properties)
    except NoKafka as missing:
        pytest.skip(str(missing))
    try:
        server.launch()
        yield server
    finally:
        server.kill()
