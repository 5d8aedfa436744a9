"""`Source` and `Delivery` without Kafka, for tests and trials: the same promises over lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from consumer.errors import Reason
from consumer.records import Outcome, Partition, Receipt, Record, Refusal


class InMemorySource:
    """Serves records of a list, in order within a partition, skipping paused ones."""

    def __init__(self, records: Sequence[Record], *, batch_records: int = 256) -> None:
        self._waiting = list(records)
        self._batch_records = batch_records
        self._paused: set[Partition | None] = set()
        self._lost: set[Partition] = set()
        self.notes: dict[Partition, str] = {}
        self.pauses: list[Partition | None] = []
        self.fetches = 0
        self.tended = 0

    @property
    def exhausted(self) -> bool:
        """Whether every record was fetched."""
        return not self._waiting

    def fetch(self, wait_seconds: float) -> Sequence[Record]:  # noqa: ARG002 - nothing to wait for
        """See `Source`."""
        self.fetches += 1
        if None in self._paused:
            return ()
        taken = [r for r in self._waiting if r.place not in self._paused][: self._batch_records]
        self._waiting = [r for r in self._waiting if r not in taken]
        return taken

    def tend(self) -> None:
        """See `Source`."""
        self.tended += 1

    def lose(self, partition: Partition) -> None:
        """Take a partition away, as a rebalance does."""
        self._lost.add(partition)
        self._paused.discard(partition)
        self._waiting = [r for r in self._waiting if r.place != partition]

    def take_lost(self) -> Collection[Partition]:
        """See `Source`."""
        lost, self._lost = self._lost, set()
        return lost

    def take_notes(self) -> Mapping[Partition, str]:
        """See `Source`."""
        notes, self.notes = self.notes, {}
        return notes

    def pause(self, partition: Partition | None) -> None:
        """See `Source`."""
        self.pauses.append(partition)
        self._paused.add(partition)

    def resume(self, partition: Partition | None) -> None:
        """See `Source`."""
        self._paused.discard(partition)


class InMemoryDelivery:
    """Keeps what it publishes, and the offset after the last one delivered of each partition.

    It refuses values over `max_bytes`, and outcomes that `refuses` names.
    """

    pending = False

    def __init__(self, *, max_bytes: int = 1_000_000, refuses: Collection[int] = ()) -> None:
        self._max_bytes, self._refuses = max_bytes, refuses
        self._held: dict[Partition, int] = {}
        self.published: list[Outcome] = []
        self.committed: dict[Partition, int] = {}
        self.notes: dict[Partition, str] = {}

    def deliver(self, outcomes: Sequence[Outcome]) -> Receipt:
        """See `Delivery`."""
        refused = [refusal for outcome in outcomes if (refusal := self._refusal(outcome))]
        blocked = {refusal.outcome.record.place for refusal in refused}
        published = [o for o in outcomes if not self._refusal(o)]
        self.published += published
        for outcome in outcomes:
            place = outcome.record.place
            self._held[place] = max(self._held.get(place, 0), outcome.record.offset + 1)
            self.notes[place] = outcome.note or self.notes.get(place, "")
        for place in [place for place in self._held if place not in blocked]:
            self.committed[place] = self._held.pop(place)
        return Receipt(published, refused)

    def finish(self) -> Receipt:
        """See `Delivery`."""
        return self.deliver(())

    def forget(self, partitions: Collection[Partition]) -> None:
        """See `Delivery`."""
        for place in partitions:
            self._held.pop(place, None)

    def _refusal(self, outcome: Outcome) -> Refusal | None:
        if max(len(value or b"") for value in outcome.values) > self._max_bytes:
            return Refusal(outcome, Reason.OUTPUT_TOO_LARGE, "the message is too large")
        if outcome.reason is None and outcome.record.offset in self._refuses:
            return Refusal(outcome, Reason.OUTPUT_REFUSED, "refused by the test")
        return None
