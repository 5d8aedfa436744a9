"""Messages of Kafka's client as records."""

from __future__ import annotations

from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from consumer.records import Headers, Partition, Record


def place_of(message: Message) -> Partition:
    """Return where a message lies, or what an error is about."""
    topic, partition = message.topic(), message.partition()
    assert topic is not None, "only errors of the whole client come without a place"
    assert partition is not None, "only errors of the whole client come without a place"
    return topic, partition


def record_of(message: Message) -> Record:
    """Return a message that is no error as a record."""
    kind, timestamp = message.timestamp()
    topic, partition = place_of(message)
    offset = message.offset()
    assert offset is not None, "only errors come without an offset"
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        key=message.key(),
        value=message.value(),
        headers=headers_of(message),
    )


def headers_of(message: Message) -> Headers:
    """Return a message's headers, in order; a name may occur twice and a value may be missing."""
    headers: Any = message.headers() or ()
    return tuple(headers)
