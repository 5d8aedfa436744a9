"""At-least-once: publish, wait until everything is acknowledged, then commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from consumer.kafka.clients import failed, patiently
from consumer.kafka.connection import Connection
from consumer.kafka.progress import Progress
from consumer.kafka.publishing import BESIDE_A_REFUSAL, REFUSALS, WAIT_SECONDS, Publisher, note
from consumer.metrics import Metrics
from consumer.records import Outcome, Partition, Receipt, Refusal
from consumer.settings import Settings

_SETTLE_SECONDS = 5.0

log = logging.getLogger(__name__)


class AtLeastOnceDelivery:
    """Commits an offset only once its outcome, and all before it in the partition, are acknowledged.

    A record may be published twice after a crash between the two; both copies carry the same `record_id`.
    """

    pending = False  # what is delivered is acknowledged; a commit that failed is made up for, or its records come again

    def __init__(
        self,
        consumer: Consumer,
        producer: Producer,
        settings: Settings,
        metrics: Metrics,
        connection: Connection,
        progress: Progress,
        waiting: Callable[[], None],
    ) -> None:
        """`waiting` is called again and again while a broker keeps us waiting; it may raise to give up."""
        self._consumer, self._producer = consumer, producer
        self._metrics, self._connection, self._waiting = metrics, connection, waiting
        self._publisher = Publisher(settings, waiting)
        self._progress = progress
        self._done: dict[Partition, int] = {}  # acknowledged, not committed yet: the offset to commit
        self._notes: dict[Partition, str] = {}  # to commit along
        self._blocked: set[Partition] = set()  # where a refused outcome waits for its dead letter
        self._delivering = False
        self._gone: set[Partition] = set()  # lost since the delivery began

    def open(self, _: Callable[[], bool]) -> None:
        """Do nothing: a plain producer needs no preparation."""

    def deliver(self, outcomes: Sequence[Outcome]) -> Receipt:
        """See `Delivery`. Without outcomes, it serves the client and commits what could not be committed before."""
        self._delivering, self._gone = True, set()
        try:
            return self._deliver(outcomes)
        finally:
            self._delivering = False

    def _deliver(self, outcomes: Sequence[Outcome]) -> Receipt:
        failures = self._publish(outcomes)
        if len(outcomes) > 1:
            # The broker takes or refuses a batch whole, so healthy records fail with the offender: one by one now.
            self._metrics.resent.inc(len(failures))
            failures = [failure for outcome, _ in failures for failure in self._publish([outcome])]
        refusals = [Refusal(outcome, REFUSALS[error.code()], error.str()) for outcome, error in failures]
        refusals = [refusal for refusal in refusals if refusal.outcome.record.place not in self._gone]
        for outcome in outcomes:
            if (place := outcome.record.place) in self._gone:
                continue  # its new owner works it again, and may have given it back to us behind it
            self._done[place] = max(self._done.get(place, 0), outcome.record.offset + 1)
            self._notes[place] = outcome.note or self._notes.get(place, "")
        self._blocked = {refusal.outcome.record.place for refusal in refusals}
        self._settle(self._waiting)
        refused = {id(outcome) for outcome, _ in failures}
        return Receipt([outcome for outcome in outcomes if id(outcome) not in refused], refusals)

    def finish(self) -> Receipt:
        """See `Delivery`."""
        return self.deliver(())

    def forget(self, partitions: Collection[Partition]) -> None:
        """See `Delivery`."""
        self._gone.update(partitions)
        for place in partitions:
            self._done.pop(place, None)
            self._notes.pop(place, None)

    def settle(self) -> None:
        """Commit what is acknowledged before partitions are given up, unless the broker keeps the group waiting."""
        if self._delivering:
            return  # the rebalance came while a broker kept a delivery waiting, which has not ended yet
        deadline = time.monotonic() + _SETTLE_SECONDS

        def waiting() -> None:
            self._waiting()
            if time.monotonic() > deadline:
                raise TimeoutError

        try:
            self._settle(waiting)
        except TimeoutError:
            log.warning("commit_unanswered", extra={"seconds": _SETTLE_SECONDS})

    def tell(self) -> None:
        """Log what was committed and not told yet."""
        self._progress.tell()

    def _settle(self, waiting: Callable[[], None]) -> None:
        """Commit what is acknowledged and still ours, except where a refused outcome stands in the way."""
        if self._done:
            owned = {(p.topic, p.partition) for p in self._consumer.assignment()}
            self._done = {place: offset for place, offset in self._done.items() if place in owned}
        offsets = {place: offset for place, offset in self._done.items() if place not in self._blocked}
        if not offsets:
            return
        places = [TopicPartition(*place, offset, self._notes[place]) for place, offset in offsets.items()]
        if problem := self._commit(places, waiting):
            if problem.fatal():
                raise failed(problem, "committing")
            # What is still ours is committed with the next batch, or when it is given up.
            self._progress.failed(problem)
        else:
            self._done = {place: offset for place, offset in self._done.items() if place not in offsets}
            self._progress.committed({place: offset for place, offset in offsets.items() if place not in self._gone})

    def _publish(self, outcomes: Sequence[Outcome]) -> list[tuple[Outcome, KafkaError]]:
        """Produce and wait for every delivery report; return those that were refused, in order."""
        errors: dict[int, KafkaError] = {}
        try:
            for number, outcome in enumerate(outcomes):
                self._publisher.produce(self._producer, outcome, partial(note, errors, number))
        except KafkaException as error:
            raise self._publisher.failed(error.args[0]) from error
        while self._producer.flush(WAIT_SECONDS):
            self._waiting()
        if outcomes and len(errors) < len(outcomes):
            self._connection.on_success()
        for reason in errors.values():
            if reason.fatal() or reason.code() not in {*REFUSALS, BESIDE_A_REFUSAL}:
                raise self._publisher.failed(reason)
        return [(outcomes[number], error) for number, error in sorted(errors.items())]

    def _commit(self, offsets: list[TopicPartition], waiting: Callable[[], None]) -> KafkaError | None:
        """Commit and wait for the answer; return the error, if any."""
        call = partial(self._consumer.commit, offsets=offsets, asynchronous=False)
        try:
            results: Any = patiently(call, waiting)
        except KafkaException as error:
            refused: KafkaError = error.args[0]
            return refused
        return next((result.error for result in results if result.error), None)
