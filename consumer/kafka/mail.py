"""Reads the dead-letter topic up to its present end, and keeps how far a replay came."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from consumer.errors import KafkaFailed
from consumer.kafka.clients import consumer_properties, failed
from consumer.kafka.connection import Connection
from consumer.kafka.incoming import record_of
from consumer.kafka.making import made
from consumer.kafka.positions import answered
from consumer.metrics import Metrics
from consumer.records import Record
from consumer.settings import Settings

_BROKER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a partition of the dead-letter topic is done, but for offsets before that whose records were refused."""

    done: int
    refused: frozenset[int] = frozenset()

    def lacks(self, offset: int) -> bool:
        """Whether the letter there is still to be sent again."""
        return offset >= self.done or offset in self.refused

    def moved(self, offset: int, refused: Collection[int]) -> Bookmark:
        """Return it for a pass that met all before an offset that it lacks, and was refused some of them."""
        unmet = {kept for kept in self.refused if kept >= offset}
        return Bookmark(max(offset, self.done), frozenset(unmet.union(refused)))

    def written(self) -> tuple[int, str]:
        """Return the offset to commit, the first that is lacking, and the note along with it: gaps to the others."""
        points = sorted({*self.refused, self.done})
        return points[0], " ".join(str(after - before) for before, after in pairwise(points))

    @staticmethod
    def read(offset: int, note: str) -> Bookmark:
        """Return what was `written`; any offset without a note is one too."""
        *refused, done = accumulate((int(gap) for gap in note.split()), initial=offset)
        return Bookmark(done, frozenset(refused))


class Mail:
    """The records of the dead-letter topic. Nobody else reads them in this group, which only keeps how far it came."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Connect as the group `name`."""
        self._topic, self._group = settings.dead_letter_topic, name
        self._bookmarks: dict[int, Bookmark] = {}
        own = {
            "group.id": name,
            "group.protocol": "classic",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "statistics.interval.ms": 0,
        }
        properties = {**consumer_properties(settings), **own}
        properties.pop("group.instance.id", None)
        self._connection = Connection("dead letters", Metrics())
        self._consumer = made(Consumer, properties | self._connection.callbacks())

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def records(self, *, committed: bool) -> Iterator[Record]:
        """Yield what lies there now, from the beginning or from what was committed on; raise `KafkaFailed`."""
        try:
            left = self._assign(committed=committed)
        except KafkaException as away:
            # Of the group's offsets, a right that is missing shows as no answer; the reason comes beside it.
            told = self._consumer.poll(0)
            error = told.error() if told else None
            raise failed(error or away.args[0], f"reading {self._topic} as group {self._group}") from away
        while left:
            message = self._consumer.poll(_BROKER_SECONDS)
            if message is None:
                raise KafkaFailed(f"reading {self._topic}: no answer within {_BROKER_SECONDS:.0f} s")
            number: int = message.partition() or 0
            if error := message.error():
                if error.code() != KafkaError._PARTITION_EOF:
                    raise failed(error, f"reading {self._topic}")
                left.pop(number, None)
                continue
            record = record_of(message)
            if record.offset < left.get(number, 0) and self._bookmark(number).lacks(record.offset):
                yield record
            if record.offset + 1 >= left.get(number, 0):
                left.pop(number, None)

    def one(self, partition: int, offset: int) -> Record:
        """Return the record at a place; raise `KafkaFailed` if none lies there."""
        self._consumer.assign([TopicPartition(self._topic, partition, offset)])
        message = self._consumer.poll(_BROKER_SECONDS)
        if message is None or message.error() or message.offset() != offset:
            raise KafkaFailed(f"nothing lies at {partition}:{offset} of {self._topic}")
        return record_of(message)

    def commit(self, offsets: Mapping[int, int], refused: Collection[tuple[int, int]] = ()) -> None:
        """Keep how far each partition is done, but for places that were `refused`, which are read again next time."""
        moved = {
            number: self._bookmark(number).moved(offset, [lies for of, lies in refused if of == number])
            for number, offset in offsets.items()
        }
        places = [TopicPartition(self._topic, number, *bookmark.written()) for number, bookmark in moved.items()]
        if places:
            try:
                self._consumer.commit(offsets=places, asynchronous=False)
            except KafkaException as error:
                raise failed(error.args[0], f"committing how far {self._topic} is done") from error

    def _bookmark(self, number: int) -> Bookmark:
        """Return where a partition was begun."""
        return self._bookmarks.get(number, Bookmark(0))

    def _assign(self, *, committed: bool) -> dict[int, int]:
        """Begin reading; return the partitions that hold something, with their ends."""
        known = self._consumer.list_topics(self._topic, timeout=_BROKER_SECONDS).topics[self._topic]
        if known.error:
            raise KafkaException(known.error)
        places = [TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in known.partitions]
        if committed:
            places = answered(self._consumer.committed(places, timeout=_BROKER_SECONDS))
            self._bookmarks = {p.partition: Bookmark.read(p.offset, p.metadata or "") for p in places}
        ends = {p.partition: self._consumer.get_watermark_offsets(p, timeout=_BROKER_SECONDS)[1] for p in places}
        left = {p.partition: ends[p.partition] for p in places if max(p.offset, 0) < ends[p.partition]}
        self._consumer.assign([p for p in places if p.partition in left])
        return left


def group_of(settings: Settings, wanted: Mapping[str, str]) -> str:
    """Return the group that keeps how far a replay with this filter came."""
    told = "".join(f"{name}={pattern}\n" for name, pattern in sorted(wanted.items()))
    return f"{settings.group_id}.dlq" + (f".{hashlib.sha256(told.encode()).hexdigest()[:8]}" if wanted else "")
