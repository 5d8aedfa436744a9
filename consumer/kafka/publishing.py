"""How an outcome is handed to the producer, and which of the broker's answers concern the message alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.errors import KafkaFailed, Reason
from consumer.kafka.clients import failed
from consumer.records import Outcome
from consumer.settings import Settings

REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE: Reason.OUTPUT_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: Reason.OUTPUT_TOO_LARGE,
    KafkaError.INVALID_MSG_SIZE: Reason.OUTPUT_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Reason.OUTPUT_NOT_AUTHORIZED,
    KafkaError.INVALID_TIMESTAMP: Reason.OUTPUT_REFUSED,
    KafkaError.INVALID_RECORD: Reason.OUTPUT_REFUSED,
    KafkaError.INVALID_MSG: Reason.OUTPUT_REFUSED,
    KafkaError.POLICY_VIOLATION: Reason.OUTPUT_REFUSED,
}
BESIDE_A_REFUSAL = KafkaError._INVALID_DIFFERENT_RECORD  # for nothing but its neighbours in the batch: alone it may go
WAIT_SECONDS = 0.2

Report = Callable[[KafkaError | None, Message | None], None]


class Publisher:
    """Knows where an outcome goes and what goes with it."""

    def __init__(self, settings: Settings, waiting: Callable[[], None]) -> None:
        """`waiting` is called again and again while the producer's queue is full; it may raise to give up."""
        self._output, self._dead_letters = settings.output_topic, settings.dead_letter_topic
        self._waiting = waiting

    def topic(self, outcome: Outcome) -> str:
        """Return the topic that an outcome goes to."""
        return self._output if outcome.reason is None else self._dead_letters

    def produce(self, producer: Producer, outcome: Outcome, report: Report) -> None:
        """Queue an outcome; `report` gets what became of each value, at once if the client itself refuses its size.

        Raises `KafkaException` for what is wrong with the producer.
        """
        record = outcome.record
        # A dead letter takes the time it was written: the record's own may be what the broker refused.
        own_time = outcome.reason is None and record.timestamp is not None
        stamp: dict[str, Any] = {"timestamp": record.timestamp} if own_time else {}
        refused = False
        lies: dict[str, int] = {}  # where the first part lies, so that the others follow it there, without a key too

        def noted(error: KafkaError | None, message: Message | None) -> None:
            nonlocal refused
            refused = refused or error is not None
            if message is not None and (partition := message.partition()) is not None and error is None:
                lies["partition"] = partition
            report(error, message)

        told = {
            "key": None if outcome.keyless else record.key,
            "headers": list(outcome.headers),
            "on_delivery": noted,
            **stamp,
        }
        for value in outcome.values:
            self._produce(producer, self.topic(outcome), {"value": value, **told, **lies}, noted)
            while outcome.parts and producer.flush(WAIT_SECONDS):
                self._waiting()  # the broker's limit is for a batch, which parts would make together
            if refused:
                return  # the other parts would be of no use

    def _produce(self, producer: Producer, topic: str, told: dict[str, Any], report: Report) -> None:
        while True:
            try:
                producer.produce(topic, **told)
                return
            except BufferError:
                producer.poll(WAIT_SECONDS)
                self._waiting()
            except KafkaException as error:
                if error.args[0].code() not in REFUSALS:
                    raise
                report(error.args[0], None)
                return

    def failed(self, error: KafkaError) -> KafkaFailed:
        """Return the exception for an error of publishing that ends the process."""
        return failed(error, f"publishing to {self._output} or {self._dead_letters}")


def note(errors: dict[int, KafkaError], number: int, error: KafkaError | None, _: object) -> None:
    """Keep a delivery report that is no good."""
    if error is not None:
        errors[number] = error
