"""A transactional producer that goes on: one attempt is one transaction, committed whole or not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from consumer.errors import KafkaFailed, Reason
from consumer.kafka import verdicts
from consumer.kafka.answers import Answers
from consumer.kafka.clients import T, failed
from consumer.kafka.publishing import REFUSALS, WAIT_SECONDS, Publisher, note
from consumer.kafka.verdicts import GroupMovedOn, InDoubt
from consumer.metrics import Metrics
from consumer.records import Outcome

_TRIES = 10  # of a transaction that the broker answers, and neither takes nor refuses

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """The transactional id, and how long the broker leaves a transaction open."""

    name: str
    timeout_seconds: float


class Transactions:
    """Publishes outcomes and offsets in one transaction, again and again until it is committed or refused."""

    def __init__(
        self,
        make: Callable[[], Producer],
        identity: Identity,
        publisher: Publisher,
        metrics: Metrics,
        answered: Callable[[], None],
        waiting: Callable[[], None],
    ) -> None:
        """Make the first producer.

        `make` makes a producer of the identity; `answered` is called when a broker did its part, `waiting` while it
        keeps us waiting, and may raise.
        """
        self._make, self._identity, self._publisher = make, identity, publisher
        self._metrics, self._waiting = metrics, waiting
        self._answers = Answers(waiting, answered, self.rest)
        self._producer = make()
        self._begun = 0.0
        self._apart = False  # whether each message is sent in a batch of its own

    def open(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Take the identity: what an earlier process of that name left open is aborted, and that process is fenced.

        Give up when `stop` says so.
        """
        while True:
            try:
                self._answers.until_done(self._producer.init_transactions, stop)
                return
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.code() != KafkaError._TIMED_OUT:
                    raise failed(reason, f"taking the transactional id {self._identity.name!r}") from error
                self._take_another(reason)

    def ask(self, question: Callable[[], T]) -> T:
        """Return what a broker answers, however long that takes; raise `KafkaFailed` where waiting does not help."""
        return self._answers.ask(question)

    def serve(self) -> None:
        """Take the client's events: between transactions nobody else does, and they would pile up."""
        self._producer.poll(0)

    def rest(self) -> None:
        """Serve the client for a moment."""
        self._producer.poll(WAIT_SECONDS)
        self._waiting()

    def attempt(
        self, outcomes: Sequence[Outcome], offsets: list[TopicPartition], group: object
    ) -> list[tuple[Outcome, KafkaError]]:
        """Commit outcomes and offsets as one, or nothing: then return what the broker refuses by itself.

        `group` is the consumer's group metadata. Raises `GroupMovedOn`, `InDoubt`, and `KafkaFailed` for what waiting
        does not mend.
        """
        for _ in range(_TRIES):
            errors: dict[int, KafkaError] = {}
            try:
                self._publish(outcomes, errors)
                self._answers.until_done(partial(self._producer.send_offsets_to_transaction, offsets, group))
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                self._abort(reason)
                if refused := self._refused(outcomes, errors, reason):
                    return refused
                self._part(reason)
                self._rest_or_raise(reason)
                continue
            if self._committed():
                return []
        raise KafkaFailed(f"no transaction went through in {_TRIES} attempts; the log has the reasons")

    def _publish(self, outcomes: Sequence[Outcome], errors: dict[int, KafkaError]) -> None:
        """Begin, produce, and wait for every report; raise `KafkaException` if one is no good."""
        self._producer.begin_transaction()
        self._begun = time.monotonic()
        for number, outcome in enumerate(outcomes):
            self._publisher.produce(self._producer, outcome, partial(note, errors, number))
            while self._apart and self._producer.flush(WAIT_SECONDS):
                self._waiting()
            if errors:
                break  # the transaction has failed, and takes nothing more
        while self._producer.flush(WAIT_SECONDS) and not errors:
            self._waiting()
        if errors:
            raise KafkaException(self._telling(errors.values()))

    def _part(self, reason: KafkaError) -> None:
        """Send messages one by one from now on, where each is small enough and a batch of them is not."""
        if REFUSALS.get(reason.code()) is Reason.OUTPUT_TOO_LARGE and not self._apart:
            self._apart = True
            log.warning("batches_too_large", extra={"code": reason.name(), "reason": reason.str()})

    def _telling(self, errors: Collection[KafkaError]) -> KafkaError:
        """Return the error that says most: a fatal one, then a refusal."""
        worst = max(
            errors, key=lambda error: (error.fatal(), error.code() in REFUSALS, error.code() not in verdicts.PURGED)
        )
        if worst.code() in verdicts.PURGED:
            # Nothing was sent, for a reason that only the transaction knows; it is lost, so that this cannot commit.
            try:
                self._answers.until_done(self._producer.commit_transaction)
            except KafkaException as error:
                told: KafkaError = error.args[0]
                return told
        return worst

    def _committed(self) -> bool:
        """Commit; return False if the transaction was aborted instead."""
        try:
            self._answers.until_done(self._producer.commit_transaction)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            self._abort(reason)
            if reason.fatal():
                raise InDoubt from error
            self._rest_or_raise(reason)
            return False
        self._metrics.transactions.labels("committed").inc()
        return True

    def _abort(self, reason: KafkaError) -> None:
        """Abort what is open; after a fatal error a new producer takes the identity, which aborts it too."""
        self._metrics.transactions.labels("aborted").inc()
        log.info("transaction_aborted", extra={"code": reason.name(), "reason": reason.str()})
        if not reason.fatal():
            try:
                self._answers.until_done(self._producer.abort_transaction)
                return
            except KafkaException as error:
                reason = error.args[0]
        self._renew(reason)

    def _renew(self, reason: KafkaError) -> None:
        open_for = time.monotonic() - self._begun
        if reason.code() in verdicts.FENCED and open_for < self._identity.timeout_seconds:
            raise KafkaFailed(
                f"fenced: another worker took the transactional id {self._identity.name!r}, which has to be this "
                "one's alone (RANER_TRANSACTIONAL_ID); nothing of what was in flight was committed"
            )
        # Fenced by the coordinator, because the transaction was open for too long; an abort of a transaction that the
        # coordinator never heard of, which librdkafka takes for fatal; or a call that hangs.
        self._take_another(reason)
        self.open()

    def _take_another(self, reason: KafkaError) -> None:
        log.warning("producer_renewed", extra={"code": reason.name(), "reason": reason.str()})
        self._producer.purge()
        self._producer = self._make()

    def _rest_or_raise(self, reason: KafkaError) -> None:
        """Wait for a broker that is away; raise for what another attempt does not mend."""
        if reason.code() in verdicts.STALE:
            raise GroupMovedOn(reason)
        if reason.code() in verdicts.HOPELESS:
            raise self._publisher.failed(reason)
        if reason.code() in verdicts.AWAY:
            self.rest()

    def _refused(
        self, outcomes: Sequence[Outcome], errors: Mapping[int, KafkaError], reason: KafkaError
    ) -> list[tuple[Outcome, KafkaError]]:
        """Return the outcomes that an aborted transaction failed by: those that the broker refuses alone, too."""
        suspects = [(outcomes[n], error) for n, error in sorted(errors.items()) if error.code() in REFUSALS]
        if len(suspects) == 1 or reason.code() not in REFUSALS:
            return suspects
        self._metrics.resent.inc(len(suspects))
        if not suspects:  # the right to a topic is asked for before anything is sent, and no message bears the error
            suspects = [(outcome, reason) for outcome in outcomes]
        if reason.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            first = {self._publisher.topic(outcome): outcome for outcome, _ in reversed(suspects)}
            closed = {topic for topic, outcome in first.items() if self._refuses(outcome)}
            return [suspect for suspect in suspects if self._publisher.topic(suspect[0]) in closed]
        # The broker takes or refuses a batch whole, so healthy messages fail with the offender.
        return [(outcome, error) for outcome, _ in suspects if (error := self._refuses(outcome))]

    def _refuses(self, outcome: Outcome) -> KafkaError | None:
        """Try an outcome in a transaction that is aborted whatever comes; return the refusal, if it is one."""
        for _ in range(_TRIES):
            errors: dict[int, KafkaError] = {}
            verdict: KafkaError | None = None
            try:
                self._publish([outcome], errors)
            except KafkaException as error:
                verdict = error.args[0]
            self._abort(verdict or KafkaError(KafkaError._NOOP, "a trial"))
            if verdict is None or verdict.code() in REFUSALS:
                return verdict
            self._rest_or_raise(verdict)
        return None
