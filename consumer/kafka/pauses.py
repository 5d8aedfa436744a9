"""Which partitions rest: one behind a long text, or all of them, those assigned meanwhile included."""

from __future__ import annotations

from collections.abc import Collection

from confluent_kafka import Consumer, TopicPartition

from consumer.records import Partition


class Pauses:
    """Keeps what is owned and what of it is paused. Each pause throws the prefetched records away, so they are few."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.owned: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._asleep: set[Partition] = set()  # that were lost while they rested, and come back resting
        self._all = False  # asked for by the loop
        self._held = False  # what was polled early fills a batch

    def pause(self, partition: Partition | None) -> None:
        """Let a partition rest, or with None all of them."""
        if partition is None:
            self._all = True
        else:
            self._paused.add(partition)
        self._rest(self.owned if partition is None else {partition})

    def resume(self, partition: Partition | None) -> None:
        """Take back the `pause` of the same argument."""
        if partition is None:
            self._all = False
        else:
            self._paused.discard(partition)
        self._wake(self.owned if partition is None else self.owned & {partition})

    def hold(self) -> None:
        """Let all partitions rest until `release`; once, however often it is asked for."""
        if not self._held:
            self._held = True
            self._rest(self.owned)

    def release(self) -> None:
        """Take back the `hold`, if there is one."""
        if self._held:
            self._held = False
            self._wake(self.owned)

    def assigned(self, partitions: Collection[Partition]) -> None:
        """Take note of partitions that the client has begun to fetch: while all rest, they rest too."""
        self.owned.update(partitions)
        if self._all or self._held:
            self._rest(partitions)
        elif asleep := self._asleep.intersection(partitions):  # no other: to resume is to fetch anew
            self._wake(asleep)
        self._asleep.difference_update(partitions)

    def again(self, partition: Partition) -> None:
        """Take note of a partition that was assigned anew, which rests if it did."""
        if self._all or self._held or partition in self._paused:
            self._rest({partition})

    def lost(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are gone."""
        self._asleep.update(p for p in partitions if self._all or self._held or p in self._paused)
        self.owned.difference_update(partitions)
        self._paused.difference_update(partitions)

    def _rest(self, partitions: Collection[Partition]) -> None:
        self._consumer.pause([TopicPartition(*place) for place in partitions])

    def _wake(self, partitions: Collection[Partition]) -> None:
        if not self._all and not self._held:
            self._consumer.resume([TopicPartition(*place) for place in partitions if place not in self._paused])
