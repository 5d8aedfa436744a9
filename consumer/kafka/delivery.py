"""At-least-once: publish, wait until everything is acknowledged, then commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from consumer.errors import Reason
from consumer.kafka.clients import Connection, failed, patiently
from consumer.metrics import Metrics
from consumer.records import Outcome, Partition, Refusal
from consumer.settings import Settings

_REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE: Reason.OUTPUT_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: Reason.OUTPUT_TOO_LARGE,
    KafkaError.INVALID_MSG_SIZE: Reason.OUTPUT_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Reason.OUTPUT_NOT_AUTHORIZED,
    KafkaError.INVALID_TIMESTAMP: Reason.OUTPUT_REFUSED,
    KafkaError.INVALID_RECORD: Reason.OUTPUT_REFUSED,
    KafkaError.INVALID_MSG: Reason.OUTPUT_REFUSED,
    KafkaError.POLICY_VIOLATION: Reason.OUTPUT_REFUSED,
}
_WAIT_SECONDS = 0.2
_TELL_SECONDS = 1.0
_SETTLE_SECONDS = 5.0

log = logging.getLogger(__name__)


class AtLeastOnceDelivery:
    """Commits an offset only once its outcome, and all before it in the partition, are acknowledged.

    A record may be published twice after a crash between the two; both copies carry the same `record_id`.
    """

    def __init__(
        self,
        consumer: Consumer,
        producer: Producer,
        settings: Settings,
        metrics: Metrics,
        connection: Connection,
        waiting: Callable[[], None],
    ) -> None:
        """`waiting` is called again and again while a broker keeps us waiting; it may raise to give up."""
        self._consumer, self._producer, self._settings = consumer, producer, settings
        self._metrics, self._connection, self._waiting = metrics, connection, waiting
        self._done: dict[Partition, int] = {}  # acknowledged, not committed yet: the offset to commit
        self._blocked: set[Partition] = set()  # where a refused outcome waits for its dead letter
        self._commit_problem = ""
        self._untold: dict[str, int] = {}
        self._told = 0.0

    def deliver(self, outcomes: Sequence[Outcome]) -> Sequence[Refusal]:
        """See `Delivery`. Without outcomes, it serves the client and commits what could not be committed before."""
        failures = self._publish(outcomes)
        if len(outcomes) > 1:
            # The broker takes or refuses a batch whole, so healthy records fail with the offender: one by one now.
            self._metrics.resent.inc(len(failures))
            failures = [failure for outcome, _ in failures for failure in self._publish([outcome])]
        refusals = [Refusal(outcome, _REFUSALS[error.code()], error.str()) for outcome, error in failures]
        for outcome in outcomes:
            place = outcome.record.place
            self._done[place] = max(self._done.get(place, 0), outcome.record.offset + 1)
        self._blocked = {refusal.outcome.record.place for refusal in refusals}
        self._settle(self._waiting)
        return refusals

    def forget(self, partitions: Collection[Partition]) -> None:
        """See `Delivery`."""
        for place in partitions:
            self._done.pop(place, None)

    def settle(self) -> None:
        """Commit what is acknowledged before partitions are given up, unless the broker keeps the group waiting."""
        deadline = time.monotonic() + _SETTLE_SECONDS

        def waiting() -> None:
            self._waiting()
            if time.monotonic() > deadline:
                raise TimeoutError

        try:
            self._settle(waiting)
        except TimeoutError:
            log.warning("commit_unanswered", extra={"seconds": _SETTLE_SECONDS})

    def _settle(self, waiting: Callable[[], None]) -> None:
        """Commit what is acknowledged and still ours, except where a refused outcome stands in the way."""
        if self._done:
            owned = {(p.topic, p.partition) for p in self._consumer.assignment()}
            self._done = {place: offset for place, offset in self._done.items() if place in owned}
        offsets = {place: offset for place, offset in self._done.items() if place not in self._blocked}
        if not offsets:
            return
        if problem := self._commit([TopicPartition(*place, offset) for place, offset in offsets.items()], waiting):
            self._commit_failed(problem)
        else:
            self._committed(offsets)

    def tell(self) -> None:
        """Log what was committed since the last time: the newest offset of each partition, once a second at most."""
        if self._untold:
            log.info("offsets_committed", extra={"offsets": self._untold})
        self._untold, self._told = {}, time.monotonic()

    def _publish(self, outcomes: Sequence[Outcome]) -> list[tuple[Outcome, KafkaError]]:
        """Produce and wait for every delivery report; return those that were refused, in order."""
        errors: dict[int, KafkaError] = {}
        for number, outcome in enumerate(outcomes):
            self._produce(outcome, partial(_note, errors, number))
        while self._producer.flush(_WAIT_SECONDS):
            self._waiting()
        if outcomes and len(errors) < len(outcomes):
            self._connection.on_success()
        for error in errors.values():
            if error.fatal() or error.code() not in _REFUSALS:
                topics = f"{self._settings.output_topic} or {self._settings.dead_letter_topic}"
                raise failed(error, f"publishing to {topics}")
        return [(outcomes[number], error) for number, error in sorted(errors.items())]

    def _produce(self, outcome: Outcome, report: Callable[[KafkaError | None, object], None]) -> None:
        dead = outcome.reason is not None
        record = outcome.record
        # A dead letter takes the time it was written: the record's own may be what the broker refused.
        stamp: dict[str, Any] = {} if dead or record.timestamp is None else {"timestamp": record.timestamp}
        while True:
            try:
                self._producer.produce(
                    self._settings.dead_letter_topic if dead else self._settings.output_topic,
                    key=record.key,
                    value=outcome.value,
                    headers=list(outcome.headers),
                    on_delivery=report,
                    **stamp,
                )
                return
            except BufferError:
                self._producer.poll(_WAIT_SECONDS)
                self._waiting()
            except KafkaException as error:
                report(error.args[0], None)  # refused by the client itself: too large
                return

    def _commit(self, offsets: list[TopicPartition], waiting: Callable[[], None]) -> KafkaError | None:
        """Commit and wait for the answer; return the error, if any."""
        call = partial(self._consumer.commit, offsets=offsets, asynchronous=False)
        try:
            results: Any = patiently(call, waiting)
        except KafkaException as error:
            refused: KafkaError = error.args[0]
            return refused
        return next((result.error for result in results if result.error), None)

    def _committed(self, offsets: dict[Partition, int]) -> None:
        self._done = {place: offset for place, offset in self._done.items() if place not in offsets}
        self._commit_problem = ""
        self._metrics.commits.labels("ok").inc()
        for place, offset in offsets.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            self._connection.on_lag(place, max(0, end - offset))
        self._untold |= {f"{topic}[{number}]": offset for (topic, number), offset in offsets.items()}
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self.tell()

    def _commit_failed(self, error: KafkaError) -> None:
        # Mostly a rebalance on its way: what is still ours is committed with the next batch, or when it is given up.
        if error.fatal():
            raise failed(error, "committing")
        self._metrics.commits.labels("failed").inc()
        if error.name() != self._commit_problem:  # said once, not with every batch
            self._commit_problem = error.name()
            log.warning("commit_failed", extra={"code": error.name(), "reason": error.str()})


def _note(errors: dict[int, KafkaError], number: int, error: KafkaError | None, _: object) -> None:
    if error is not None:
        errors[number] = error
