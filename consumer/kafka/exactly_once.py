"""Exactly-once: outcomes and their offsets in one transaction, by a member of the group that still owns them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, TopicPartition

from consumer.errors import KafkaFailed
from consumer.kafka.positions import answered
from consumer.kafka.progress import Progress
from consumer.kafka.publishing import REFUSALS
from consumer.kafka.transactions import Transactions
from consumer.kafka.verdicts import GroupMovedOn, InDoubt
from consumer.records import Outcome, Partition, Receipt, Refusal

_STALE_TRIES = 50
_BROKER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Size:
    """What a transaction gathers, at most: outcomes, bytes, and seconds from the first of them on."""

    records: int
    bytes: int
    seconds: float


class ExactlyOnceDelivery:
    """Gathers outcomes and commits them with their offsets in one transaction, opened when all of it is there.

    A transaction is thus open for as long as it takes to publish it, whatever the annotating took. What is aborted is
    kept and goes into the next one, without what was refused or is no longer ours.
    """

    def __init__(self, consumer: Consumer, transactions: Transactions, size: Size, progress: Progress) -> None:
        """`consumer` tells the group's metadata and what is owned."""
        self._consumer, self._transactions, self._size, self._progress = consumer, transactions, size, progress
        self._pending: list[Outcome] = []
        self._since = 0.0  # when the first of them was taken
        self._urgent = False  # a transaction was aborted, and what is left of it has waited enough
        self._notes: dict[Partition, str] = {}  # to commit along with offsets
        self._awaited: dict[Partition, set[int]] = {}  # offsets refused, whose dead letters are still to come
        self._unreported = Receipt()  # of a transaction that a rebalance made
        self._stale = 0
        self._reporting = False
        self._gone: set[Partition] = set()  # lost since the report began

    @property
    def pending(self) -> bool:
        """See `Delivery`."""
        return bool(self._pending or self._unreported.refused)

    def open(self, stop: Callable[[], bool]) -> None:
        """Take the transactional id, ending what an earlier process of that name left open; give up when told to."""
        self._transactions.open(stop)

    def deliver(self, outcomes: Sequence[Outcome]) -> Receipt:
        """See `Delivery`."""
        self._take(outcomes)
        if self._is_due():
            return self._report()
        self._transactions.serve()
        return Receipt()

    def finish(self) -> Receipt:
        """See `Delivery`."""
        return self._report()

    def forget(self, partitions: Collection[Partition]) -> None:
        """See `Delivery`."""
        self._gone.update(partitions)
        self._pending = [outcome for outcome in self._pending if outcome.record.place not in partitions]
        refused = [r for r in self._unreported.refused if r.outcome.record.place not in partitions]
        self._unreported = Receipt(self._unreported.published, refused)
        for place in partitions:
            self._awaited.pop(place, None)
            self._notes.pop(place, None)

    def settle(self) -> None:
        """Commit what is gathered before partitions are given up; what cannot be is dropped with them.

        A transaction that is open when the rebalance comes is let be: the group takes its offsets as long as nobody
        else can own the partitions, and refuses them afterwards.
        """
        if not self._reporting:
            self._unreported = self._report()

    def tell(self) -> None:
        """Log what was committed and not told yet."""
        self._progress.tell()

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes and not self._pending:
            self._since = time.monotonic()
        for outcome in outcomes:
            self._awaited.get(outcome.record.place, set()).discard(outcome.record.offset)
        # In the order of each partition, as a dead letter comes after what was behind its record.
        self._pending = sorted([*self._pending, *outcomes], key=lambda o: (o.record.place, o.record.offset))
        last = {outcome.record.place: i for i, outcome in enumerate(self._pending)}
        for i, note in ((last[outcome.record.place], outcome.note) for outcome in outcomes if outcome.note):
            self._pending[i] = replace(self._pending[i], note=note)  # the newest is committed with the last offset

    def _is_due(self) -> bool:
        if self._unreported.published or self._unreported.refused:
            return True
        return bool(self._pending) and (
            self._urgent
            or len(self._pending) >= self._size.records
            or sum(outcome.size + outcome.record.size for outcome in self._pending) >= self._size.bytes
            or time.monotonic() - self._since >= self._size.seconds
        )

    def _report(self) -> Receipt:
        """Commit what is ready, transaction after transaction, and say what became of it."""
        self._reporting, self._gone = True, set()
        try:
            return self._reported()
        finally:
            self._reporting = False

    def _reported(self) -> Receipt:
        before, self._unreported = self._unreported, Receipt()
        published, refused = list(before.published), list(before.refused)
        while ready := self._ready():
            try:
                now_refused = self._commit(ready)
            except GroupMovedOn:
                self._wait_for_group()
                break
            except InDoubt:
                published += self._resolve(ready)
                continue
            if not now_refused:
                published += ready
            refused += now_refused
        self._urgent = bool(self._pending)
        return Receipt(published, refused)

    def _ready(self) -> list[Outcome]:
        """Return what may go into the next transaction: still ours, and with no refused record before it."""
        owned = {(p.topic, p.partition) for p in self._consumer.assignment()} if self._pending else set()
        self._pending = [outcome for outcome in self._pending if outcome.record.place in owned]
        ends = {place: min(offsets) for place, offsets in self._awaited.items() if offsets}
        return [o for o in self._pending if o.record.place not in ends or o.record.offset < ends[o.record.place]]

    def _commit(self, ready: Sequence[Outcome]) -> list[Refusal]:
        """Commit one transaction and take its outcomes off; or take off what is refused, and return that."""
        offsets = {outcome.record.place: outcome.record.offset + 1 for outcome in ready}  # the last one counts
        notes = self._notes | _notes_of(ready)
        places = [TopicPartition(*place, offset, notes.get(place, "")) for place, offset in offsets.items()]
        failures = self._transactions.attempt(ready, places, self._group())
        done = [outcome for outcome, _ in failures] if failures else ready
        self._drop(done)
        self._stale = 0
        if not failures:
            self._notes = notes
            self._progress.committed({place: offset for place, offset in offsets.items() if place not in self._gone})
        for outcome, _ in failures:
            self._awaited.setdefault(outcome.record.place, set()).add(outcome.record.offset)
        return [Refusal(outcome, REFUSALS[error.code()], error.str()) for outcome, error in failures]

    def _group(self) -> object:
        """Return the group's metadata; raise `GroupMovedOn` if this consumer is no member.

        A consumer that was expelled has none, and Kafka takes offsets without one from anybody.
        """
        metadata = self._consumer.consumer_group_metadata()
        if not self._consumer.memberid():
            raise GroupMovedOn("expelled from the group")
        return metadata

    def _wait_for_group(self) -> None:
        """Keep what was aborted until the consumer has served the rebalance, though not for ever."""
        self._stale += 1
        if self._stale > _STALE_TRIES:
            raise KafkaFailed(
                f"the group refused this worker's offsets {self._stale} times; nothing of it was committed"
            )
        self._transactions.rest()

    def _resolve(self, ready: Sequence[Outcome]) -> list[Outcome]:
        """Return what a transaction in doubt brought through, and take it off."""
        places = [TopicPartition(*place) for place in sorted({outcome.record.place for outcome in ready})]
        # Until there is an answer for every partition: one that is taken for "nothing" would make everything twice.
        asked = self._transactions.ask(lambda: answered(self._consumer.committed(places, timeout=_BROKER_SECONDS)))
        committed = {(p.topic, p.partition): p.offset for p in asked}
        done = [outcome for outcome in ready if outcome.record.offset < committed[outcome.record.place]]
        self._notes |= _notes_of(done)
        self._drop(done)
        if through := {outcome.record.place for outcome in done} - self._gone:
            self._progress.committed({place: committed[place] for place in through})
        return done

    def _drop(self, outcomes: Sequence[Outcome]) -> None:
        gone = {id(outcome) for outcome in outcomes}
        self._pending = [outcome for outcome in self._pending if id(outcome) not in gone]


def _notes_of(outcomes: Sequence[Outcome]) -> dict[Partition, str]:
    """Return the last note of each partition."""
    return {outcome.record.place: outcome.note for outcome in outcomes if outcome.note}
