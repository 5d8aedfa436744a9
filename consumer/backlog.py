"""Long texts, and the records that wait behind them in their partitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from consumer.records import Partition, Record


class Backlog:
    """A queue of records per partition, the first of each a long text; partitions take turns in order of arrival."""

    def __init__(self) -> None:
        self._queues: dict[Partition, deque[Record]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        """How many partitions are held up."""
        return len(self._queues)

    def __contains__(self, place: Partition) -> bool:
        """Whether a partition is held up, so that its further records must queue here."""
        return place in self._queues

    def add(self, record: Record) -> None:
        """Queue a record behind the others of its partition."""
        self._queues.setdefault(record.place, deque()).append(record)
        self.bytes += record.size

    def first(self) -> Record:
        """Return the record at the head of the partition whose turn it is."""
        return next(iter(self._queues.values()))[0]

    def queue(self, place: Partition) -> deque[Record]:
        """Return a partition's records without taking them."""
        return self._queues[place]

    def take(self, place: Partition) -> Record:
        """Take the record at the head of a partition."""
        record = self._queues[place].popleft()
        self.bytes -= record.size
        return record

    def release(self, place: Partition) -> bool:
        """End a partition's turn: send it to the back, or drop it when nothing is queued, and say whether it was."""
        queue = self._queues.pop(place)
        if queue:
            self._queues[place] = queue
        return not queue

    def drop(self, places: Collection[Partition]) -> None:
        """Forget partitions that were lost, and what was queued for them."""
        for place in places:
            for record in self._queues.pop(place, ()):
                self.bytes -= record.size
