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
    """Return a message that is no error as a record.

    The client gives no header at all where one has a name that is not UTF-8, which brokers let through.
    """
    kind, timestamp = message.timestamp()
    topic, partition = place_of(message)
    offset = message.offset()
    assert offset is not None, "only errors come without an offset"
    headers: Headers = ()
    error = ""
    try:
        headers = headers_of(message)
    except (SystemError, UnicodeDecodeError) as raised:  # confluent-kafka 2.16 raises the one because of the other
        error = _told(raised)
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        key=message.key(),
        value=message.value(),
        headers=headers,
        headers_error=error,
    )


def headers_of(message: Message) -> Headers:
    """Return a message's headers, in order; a name may occur twice and a value may be missing."""
    headers: Any = message.headers() or ()
    return tuple(headers)


def _told(raised: BaseException) -> str:
    """Return what is wrong with the name of a header, quoting nothing of it; raise what is another error."""
    error = raised if isinstance(raised, UnicodeDecodeError) else raised.__cause__
    if not isinstance(error, UnicodeDecodeError):
        raise raised
    return f"a header's name, byte {error.start} of {len(error.object)}: {error.reason}; expected UTF-8"
