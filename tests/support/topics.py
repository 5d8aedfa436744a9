"""Writes to and reads from topics with a plain client, as someone else's producer and consumer would."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

PATIENCE_SECONDS = 90.0


def texts(count: int, first: int = 0, **more: object) -> list[dict]:
    """Return messages to `produce`, with ids from `first` on."""
    return [{"value": json.dumps({"id": first + i, "text": "王小明在北京"}), **more} for i in range(count)]


def ids(messages: Iterable[Message]) -> list[int]:
    """Return the ids of messages, sorted."""
    return sorted(json.loads(m.value())["id"] for m in messages)


def produce(servers: str, topic: str, messages: Iterable[dict]) -> None:
    """Produce messages given as keyword arguments of `Producer.produce`."""
    producer = Producer({"bootstrap.servers": servers, "message.max.bytes": 5_000_000})
    for message in messages:
        producer.produce(topic, **message)
        producer.poll(0)
    assert producer.flush(30) == 0


def read(servers: str, topics: Iterable[str], count: int, *, more_seconds: float = 0.0) -> list[Message]:
    """Return the first `count` messages of topics, and what else comes within `more_seconds`; fail if none comes."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test-reader", "fetch.wait.max.ms": 50})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not set(topics) <= (found := consumer.list_topics(timeout=10).topics).keys():
        assert time.monotonic() < deadline, f"no topics {topics}"  # one that was just made may take a moment to be seen
    consumer.assign([TopicPartition(t, p, OFFSET_BEGINNING) for t in topics for p in found[t].partitions])
    messages: list[Message] = []
    try:
        while len(messages) < count and time.monotonic() < deadline:
            if more := [m for m in consumer.consume(500, 0.2) if not m.error()]:
                messages += more
                deadline = time.monotonic() + PATIENCE_SECONDS
        assert len(messages) >= count, f"{len(messages)} of {count} messages came"
        until = time.monotonic() + more_seconds
        while time.monotonic() < until:
            messages += [m for m in consumer.consume(500, 0.2) if not m.error()]
    finally:
        consumer.close()
    return messages


def committed(servers: str, group: str, topic: str, partitions: int = 4) -> list[int]:
    """Return the committed offset of every partition, -1001 where there is none."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group})
    try:
        return [p.offset for p in consumer.committed([TopicPartition(topic, n) for n in range(partitions)], timeout=10)]
    finally:
        consumer.close()
