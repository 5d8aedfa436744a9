"""Sends records of dead letters to their input topic again, and tells what the broker does not take, and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.errors import KafkaFailed
from consumer.kafka.clients import failed, producer_properties
from consumer.kafka.connection import Connection
from consumer.kafka.making import made
from consumer.kafka.publishing import BESIDE_A_REFUSAL, REFUSALS
from consumer.metrics import Metrics
from consumer.records import Headers, Record
from consumer.settings import Settings

_BROKER_SECONDS = 30.0
_AWAY = {KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT}
# Others may still go to the same topic. What is in neither set concerns all: a right, the topic, the producer.
_OF_THE_RECORD = (REFUSALS.keys() - {KafkaError.TOPIC_AUTHORIZATION_FAILED}) | {
    BESIDE_A_REFUSAL,
    KafkaError._UNKNOWN_PARTITION,
}
_LARGER = "raise its max.message.bytes, and RANER_KAFKA_PRODUCER_MESSAGE_MAX_BYTES"
_GRANT = "grant the right to write to it (kafka-acls.sh)"
_REMEDIES = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _GRANT,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _GRANT,  # who may write nowhere gets no producer's id either
    KafkaError.MSG_SIZE_TOO_LARGE: _LARGER,
    KafkaError.RECORD_LIST_TOO_LARGE: _LARGER,
    KafkaError.INVALID_MSG_SIZE: _LARGER,
    KafkaError.INVALID_TIMESTAMP: "raise its message.timestamp.before.max.ms, or .after.max.ms",
    KafkaError._UNKNOWN_PARTITION: "give it the partitions back that it had",
}

_Sending = tuple[Record, str, int, Headers, int | None]


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that the broker did not take: its letter's place, where it was to go, why, and what to do about it.

    `of_the_record`: it was refused for itself, and others may still go to the same topic.
    """

    partition: int
    offset: int
    topic: str
    why: str
    of_the_record: bool


class Resender:
    """Sends records to topics again, each to the partition that it came from."""

    def __init__(self, settings: Settings) -> None:
        connection = Connection("producer", Metrics())
        properties = {**producer_properties(settings), "message.timeout.ms": int(_BROKER_SECONDS * 1000)}
        self._producer = made(Producer, properties | connection.callbacks())
        self._input = settings.input_topic
        self._refused: list[tuple[_Sending, KafkaError]] = []

    def send(self, record: Record, topic: str, partition: int, headers: Headers, timestamp: int | None) -> None:
        """Queue a record's key and value."""
        report = partial(self._on_delivery, (record, topic, partition, headers, timestamp))
        stamp: dict[str, Any] = {} if timestamp is None else {"timestamp": timestamp}
        while True:
            try:
                self._producer.produce(
                    topic, record.value, record.key, partition, report, headers=list(headers), **stamp
                )
                break
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                report(error.args[0], None)
                break
        self._producer.poll(0)

    def settle(self) -> Sequence[Refused]:
        """Wait until everything is acknowledged; return what was refused, and raise if no broker answers."""
        refused = []
        for sending, error in self._settled():
            if error.code() in _OF_THE_RECORD:
                # The broker takes or refuses a batch whole, so healthy records fail with the offender: alone now.
                self.send(*sending)
                refused += self._settled()
            else:
                refused.append((sending, error))
        return [_refused(record, topic, error) for (record, topic, *_), error in refused]

    def _settled(self) -> list[tuple[_Sending, KafkaError]]:
        deadline = time.monotonic() + 2 * _BROKER_SECONDS
        try:
            while self._producer.flush(1.0):
                if time.monotonic() > deadline:
                    raise KafkaFailed(f"sending again: no acknowledgement within {2 * _BROKER_SECONDS:.0f} s")
        except KafkaException as error:  # a fatal one
            raise KafkaFailed(f"sending again to {self._input}: {_why(error.args[0])}") from error
        refused, self._refused = self._refused, []
        return refused

    def _on_delivery(self, sending: _Sending, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            return
        if error.code() in _AWAY:
            raise failed(error, "sending again")
        self._refused.append((sending, error))


def _refused(letter: Record, topic: str, error: KafkaError) -> Refused:
    return Refused(letter.partition, letter.offset, topic, _why(error), error.code() in _OF_THE_RECORD)


def _why(error: KafkaError) -> str:
    """Return what an error says by its code alone, and what to do about it."""
    return f"{KafkaError(error.code()).str()} ({error.name()}); {_REMEDIES.get(error.code(), 'mend that')}"
