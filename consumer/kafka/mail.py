"""Reads the dead-letter topic up to its present end, and sends records of it to their input topic again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from consumer.errors import KafkaFailed
from consumer.kafka.clients import consumer_properties, failed, producer_properties
from consumer.kafka.connection import Connection
from consumer.kafka.incoming import record_of
from consumer.kafka.positions import answered
from consumer.metrics import Metrics
from consumer.records import Headers, Record
from consumer.settings import Settings

_BROKER_SECONDS = 30.0


class Mail:
    """The records of the dead-letter topic. Nobody else reads them in this group, which only keeps how far it came."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Connect as the group `name`."""
        self._topic = settings.dead_letter_topic
        own = {
            "group.id": name,
            "group.protocol": "classic",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "statistics.interval.ms": 0,
        }
        properties = {**consumer_properties(settings), **own}
        properties.pop("group.instance.id", None)
        self._connection = Connection("dead letters", Metrics())
        self._consumer = Consumer({**properties, **self._connection.callbacks()})

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def records(self, *, committed: bool) -> Iterator[Record]:
        """Yield what lies there now, from the beginning or from what was committed on; raise `KafkaFailed`."""
        try:
            left = self._assign(committed=committed)
        except KafkaException as away:
            raise failed(away.args[0], f"reading {self._topic}") from away
        while left:
            message = self._consumer.poll(_BROKER_SECONDS)
            if message is None:
                raise KafkaFailed(f"reading {self._topic}: no answer within {_BROKER_SECONDS:.0f} s")
            number: int = message.partition() or 0
            if error := message.error():
                if error.code() != KafkaError._PARTITION_EOF:
                    raise failed(error, f"reading {self._topic}")
                left.pop(number, None)
                continue
            record = record_of(message)
            if record.offset < left.get(number, 0):
                yield record
            if record.offset + 1 >= left.get(number, 0):
                left.pop(number, None)

    def one(self, partition: int, offset: int) -> Record:
        """Return the record at a place; raise `KafkaFailed` if none lies there."""
        self._consumer.assign([TopicPartition(self._topic, partition, offset)])
        message = self._consumer.poll(_BROKER_SECONDS)
        if message is None or message.error() or message.offset() != offset:
            raise KafkaFailed(f"nothing lies at {partition}:{offset} of {self._topic}")
        return record_of(message)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Keep how far each partition is done."""
        places = [TopicPartition(self._topic, number, offset) for number, offset in offsets.items()]
        if places:
            try:
                self._consumer.commit(offsets=places, asynchronous=False)
            except KafkaException as error:
                raise failed(error.args[0], f"committing how far {self._topic} is done") from error

    def _assign(self, *, committed: bool) -> dict[int, int]:
        """Begin reading; return the partitions that hold something, with their ends."""
        known = self._consumer.list_topics(self._topic, timeout=_BROKER_SECONDS).topics[self._topic]
        if known.error:
            raise KafkaException(known.error)
        places = [TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in known.partitions]
        if committed:
            places = answered(self._consumer.committed(places, timeout=_BROKER_SECONDS))
        ends = {p.partition: self._consumer.get_watermark_offsets(p, timeout=_BROKER_SECONDS)[1] for p in places}
        left = {p.partition: ends[p.partition] for p in places if max(p.offset, 0) < ends[p.partition]}
        self._consumer.assign([p for p in places if p.partition in left])
        return left


class Resender:
    """Sends records to topics again, each to the partition that it came from."""

    def __init__(self, settings: Settings) -> None:
        connection = Connection("producer", Metrics())
        properties = {**producer_properties(settings), "message.timeout.ms": int(_BROKER_SECONDS * 1000)}
        self._producer = Producer({**properties, **connection.callbacks()})
        self._refused = 0

    def send(self, record: Record, topic: str, partition: int, headers: Headers, timestamp: int | None) -> None:
        """Queue a record's key and value."""
        stamp: dict[str, Any] = {} if timestamp is None else {"timestamp": timestamp}
        while True:
            try:
                self._producer.produce(
                    topic, record.value, record.key, partition, self._on_delivery, headers=list(headers), **stamp
                )
                break
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                self._on_delivery(error.args[0], None)
                break
        self._producer.poll(0)

    def settle(self) -> int:
        """Wait until everything is acknowledged; return how many were refused, and raise if no broker answers."""
        deadline = time.monotonic() + 2 * _BROKER_SECONDS
        while self._producer.flush(1.0):
            if time.monotonic() > deadline:
                raise KafkaFailed(f"sending again: no acknowledgement within {2 * _BROKER_SECONDS:.0f} s")
        refused, self._refused = self._refused, 0
        return refused

    def _on_delivery(self, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            return
        if error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT):
            raise failed(error, "sending again")
        self._refused += 1


def group_of(settings: Settings, wanted: Mapping[str, str]) -> str:
    """Return the group that keeps how far a replay with this filter came."""
    told = "".join(f"{name}={pattern}\n" for name, pattern in sorted(wanted.items()))
    return f"{settings.group_id}.dlq" + (f".{hashlib.sha256(told.encode()).hexdigest()[:8]}" if wanted else "")
