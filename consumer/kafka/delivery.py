"""At-least-once: publish, wait until everything is acknowledged, then have it committed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from consumer.kafka.commits import Commits
from consumer.kafka.connection import Connection
from consumer.kafka.publishing import BESIDE_A_REFUSAL, REFUSALS, WAIT_SECONDS, Publisher, note
from consumer.metrics import Metrics
from consumer.records import Outcome, Partition, Receipt, Refusal
from consumer.settings import Settings


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
        commits: Commits,
        waiting: Callable[[], None],
    ) -> None:
        """`commits` hears the consumer's answers; `waiting` is called while a broker keeps us, and may raise."""
        self._consumer, self._producer = consumer, producer
        self._metrics, self._connection, self._waiting = metrics, connection, waiting
        self._publisher = Publisher(settings, waiting)
        self._commits = commits
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
            if outcome.record.place not in self._gone:  # else its new owner, who may be we again, works it once more
                self._commits.add(outcome.record.place, outcome.record.offset + 1, outcome.note)
        self._blocked = {refusal.outcome.record.place for refusal in refusals}
        self._commits.send(self._consumer, self._blocked)
        refused = {id(outcome) for outcome, _ in failures}
        return Receipt([outcome for outcome in outcomes if id(outcome) not in refused], refusals)

    def finish(self) -> Receipt:
        """See `Delivery`."""
        return self.deliver(())

    def forget(self, partitions: Collection[Partition]) -> None:
        """See `Delivery`."""
        self._gone.update(partitions)
        self._commits.forget(partitions)

    def settle(self) -> None:
        """Commit what is acknowledged before partitions are given up, and wait for that."""
        if not self._delivering:  # else a broker keeps a delivery waiting, and would keep the group waiting too
            self._commits.send(self._consumer, self._blocked, wait=True)

    def tell(self) -> None:
        """Log what was committed and not told yet."""
        self._commits.tell()

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
