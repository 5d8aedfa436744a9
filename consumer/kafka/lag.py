"""How far this worker's partitions are behind their ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from consumer.metrics import Metrics
from consumer.records import Partition


class Lag:
    """Exports the lag of the partitions that are assigned, by what is committed of them.

    librdkafka has a figure of its own, which knows nothing of offsets that a transaction commits, and stays for
    partitions that are another worker's by now.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._gauge = metrics.lag
        self._committed: dict[Partition, int] = {}  # negative where no broker has told yet
        self._ends: dict[Partition, int] = {}  # what an open transaction holds back is no lag, and lies behind them

    def assigned(self, offsets: Mapping[Partition, int]) -> None:
        """Note partitions and where they begin, negative if that is not known."""
        self._committed |= offsets

    def committed(self, partition: Partition, offset: int) -> None:
        """Note that a partition is committed up to `offset`."""
        self._committed[partition] = offset
        self._set(partition)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Stop exporting partitions that another worker has now."""
        for topic, number in partitions:
            self._committed.pop((topic, number), None)
            self._ends.pop((topic, number), None)
            with suppress(KeyError):  # none was exported yet
                self._gauge.remove(topic, str(number))

    def on_statistics(self, topics: Mapping[str, Any]) -> None:
        """Take the topics of librdkafka's statistics, which know the ends."""
        for topic in topics.values():
            for number, told in topic["partitions"].items():
                place = (topic["topic"], int(number))
                if place in self._committed and (end := told.get("ls_offset", -1)) >= 0:
                    self._ends[place] = end
                    self._set(place)

    def _set(self, partition: Partition) -> None:
        offset, end = self._committed[partition], self._ends.get(partition, -1)
        if offset >= 0 and end >= 0:
            self._gauge.labels(partition[0], str(partition[1])).set(max(0, end - offset))
