"""Long texts, and the records that wait behind them in their partitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from consumer.records import Partition, Record


@dataclass(frozen=True, slots=True)
class Held:
    """A record, and whether its text is a long one."""

    record: Record
    long: bool


class Backlog:
    """A queue of records per partition, the first of each a long text; partitions take turns in order of arrival."""

    def __init__(self) -> None:
        self._queues: dict[Partition, deque[Held]] = {}
        self.bytes = 0
        self.texts = 0  # the long ones; a partition may have several

    def __len__(self) -> int:
        """How many partitions are held up."""
        return len(self._queues)

    def __contains__(self, place: Partition) -> bool:
        """Whether a partition is held up, so that its further records must queue here."""
        return place in self._queues

    def add(self, record: Record, *, long: bool) -> None:
        """Queue a record behind the others of its partition."""
        self._queues.setdefault(record.place, deque()).append(Held(record, long))
        self.bytes += record.size
        self.texts += long

    def first(self) -> Record:
        """Return the record at the head of the partition whose turn it is."""
        return next(iter(self._queues.values()))[0].record

    def take(self, place: Partition) -> Record:
        """Take the record at the head of a partition."""
        held = self._queues[place].popleft()
        self._subtract(held)
        return held.record

    def take_short(self, place: Partition) -> list[Record]:
        """Take the records at the head of a partition, up to the next long text."""
        queue = self._queues[place]
        taken = []
        while queue and not queue[0].long:
            taken.append(self.take(place))
        return taken

    def release(self, place: Partition) -> bool:
        """End a partition's turn: send it to the back, or drop it when nothing is queued, and say whether it was."""
        queue = self._queues.pop(place)
        if queue:
            self._queues[place] = queue
        return not queue

    def drop(self, places: Collection[Partition]) -> None:
        """Forget partitions that were lost, and what was queued for them."""
        for place in places:
            for held in self._queues.pop(place, ()):
                self._subtract(held)

    def _subtract(self, held: Held) -> None:
        self.bytes -= held.record.size
        self.texts -= held.long
