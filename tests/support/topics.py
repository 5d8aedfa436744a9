"""Writes to and reads from topics with a plain client, as someone else's producer and consumer would."""

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Iterable

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition, cimpl

PATIENCE_SECONDS = 90.0
_END, _TOPIC, _VALUE, _FLAGS, _HEADER = 0, 1, 4, 7, 9  # librdkafka's RD_KAFKA_VTYPE_…, in front of what they name
_COPY = 2  # RD_KAFKA_MSG_F_COPY


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


def produce_named(servers: str, topic: str, name: bytes, value: bytes) -> None:
    """Produce a record with a header whose name may be any bytes, as clients of other languages can."""
    library = ctypes.CDLL(cimpl.__file__)  # the client's extension is linked to librdkafka, whose names it exposes
    library.rd_kafka_conf_new.restype = library.rd_kafka_new.restype = ctypes.c_void_p
    said, length = ctypes.create_string_buffer(512), ctypes.c_size_t(512)
    told = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(told, b"bootstrap.servers", servers.encode(), said, length)
    producer = ctypes.c_void_p(library.rd_kafka_new(0, told, said, length))
    assert producer, said.value
    text, size = ctypes.c_char_p, ctypes.c_size_t
    fields = (_TOPIC, text(topic.encode()), _VALUE, text(value), size(len(value)), _FLAGS, _COPY)
    header = (_HEADER, text(name), text(b"x"), size(1))
    assert library.rd_kafka_producev(producer, *fields, *header, _END) == 0
    assert library.rd_kafka_flush(producer, 30_000) == 0
    library.rd_kafka_destroy(producer)


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
