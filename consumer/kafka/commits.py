"""Offsets on their way to the broker: committed without waiting for it, and again if it did not take them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumer.kafka.clients import failed
from consumer.kafka.progress import Progress
from consumer.records import Partition


class Commits:
    """Knows what is acknowledged, what the broker was asked to commit of it, and what it has.

    The consumer takes one caller at a time, so a thread that waited for an answer would keep the loop from polling:
    the answer comes to `on_answer` when the client is polled.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done: dict[Partition, int] = {}  # acknowledged, and not known to be committed: the offset to commit
        self._notes: dict[Partition, str] = {}  # to commit along
        self._asked: dict[Partition, int] = {}  # the newest that the broker was asked for

    def add(self, place: Partition, offset: int, note: str) -> None:
        """Take an offset to commit, with a note if there is a new one."""
        self._done[place] = max(self._done.get(place, 0), offset)
        self._notes[place] = note or self._notes.get(place, "")

    def forget(self, partitions: Collection[Partition]) -> None:
        """Commit nothing more of partitions that are lost."""
        for place in partitions:
            self._done.pop(place, None)
            self._notes.pop(place, None)
            self._asked.pop(place, None)

    def send(self, consumer: Consumer, but: Collection[Partition], *, wait: bool = False) -> None:
        """Ask for what is still ours and not asked for yet, `but` for some; or for all of it, and wait."""
        if self._done:
            owned = {(p.topic, p.partition) for p in consumer.assignment()}
            self._done = {place: offset for place, offset in self._done.items() if place in owned}
        offsets = {
            place: offset
            for place, offset in self._done.items()
            if place not in but and (wait or self._asked.get(place) != offset)
        }
        if offsets:
            self._asked |= offsets
            self._ask(consumer, [TopicPartition(*at, offset, self._notes[at]) for at, offset in offsets.items()], wait)

    def on_answer(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """Take the answer for the newest of what was asked; what failed is sent again with what comes next."""
        answered = {(p.topic, p.partition): p.offset for p in places}
        newest = {place: offset for place, offset in answered.items() if self._asked.get(place) == offset}
        for place in newest:
            del self._asked[place]
        if not newest:
            return
        if problem := error or next((p.error for p in places if p.error), None):
            if problem.fatal():
                raise failed(problem, "committing")
            self._progress.failed(problem)
        else:
            self._taken(newest)

    def tell(self) -> None:
        """Log what was committed and not told yet."""
        self._progress.tell()

    def _ask(self, consumer: Consumer, places: list[TopicPartition], wait: bool) -> None:
        try:
            if wait:
                self.on_answer(None, consumer.commit(offsets=places, asynchronous=False))
            else:
                consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            self.on_answer(error.args[0], places)

    def _taken(self, offsets: dict[Partition, int]) -> None:
        self._done = {place: offset for place, offset in self._done.items() if offsets.get(place) != offset}
        self._progress.committed(offsets)
