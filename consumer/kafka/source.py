"""Records from Kafka: the consumer, its partitions, and offsets that are no longer there."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from consumer.errors import KafkaFailed, SettingsError
from consumer.kafka.clients import answers, consumer_properties, failed, hopeless, is_member, max_poll_seconds
from consumer.kafka.connection import Connection
from consumer.kafka.incoming import place_of, record_of
from consumer.kafka.pauses import Pauses
from consumer.kafka.positions import Positions, answered
from consumer.kafka.watchdog import Watchdog
from consumer.metrics import Metrics
from consumer.records import Partition, Record
from consumer.settings import Settings

_BROKER_SECONDS = 5.0
_JOIN_SECONDS = 30.0
_TEND_SECONDS = 1.0  # how long others wait, in a rebalance, for a worker that has a long batch in hand

log = logging.getLogger(__name__)


class Leaving(Protocol):
    """What there is to do before partitions are given up."""

    def settle(self) -> None:
        """Commit what is acknowledged."""
        ...

    def tell(self) -> None:
        """Log what was committed and not told yet, while it is still this worker's to tell."""
        ...

    def forget(self, partitions: Collection[Partition]) -> None:
        """Publish and commit nothing more of partitions that are lost; they may be given back before long."""
        ...


class KafkaSource:
    """Takes records in bounded batches; subscribes when made."""

    def __init__(
        self,
        consumer: Consumer,
        settings: Settings,
        metrics: Metrics,
        connection: Connection,
        leaving: Leaving,
    ) -> None:
        """`leaving` is told before partitions are given up."""
        self._consumer, self._settings, self._metrics = consumer, settings, metrics
        self._connection, self._leaving = connection, leaving
        # KIP-848 gives and takes partitions one by one, too.
        strategy = consumer_properties(settings).get("partition.assignment.strategy", "cooperative")
        self._cooperative = "cooperative" in strategy
        self._deadline = time.monotonic() + _JOIN_SECONDS if settings.group_protocol == "consumer" else None
        self._positions = Positions(consumer, settings)
        self._batch: list[Record] = []  # in a revocation, what is no longer ours is taken out
        self._size = 0  # of the batch, in bytes
        self._polled = time.monotonic()
        self._tend_seconds = min(_TEND_SECONDS, max_poll_seconds(settings) / 4)
        self._pauses = Pauses(consumer)
        self._watchdog = Watchdog(connection.outage_seconds, partial(answers, settings), time.monotonic)
        self._adrift: dict[Partition, int] = {}  # whose beginning no broker told yet, and where they were
        self._lost: set[Partition] = set()
        self._notes: dict[Partition, str] = {}
        self._polling = False
        self._joined = False
        self._abandoned = False
        heard = {"on_assign": self._on_assign, "on_revoke": self._on_revoke, "on_lost": self._on_lost}
        try:
            consumer.subscribe([settings.input_topic], **heard)
        except KafkaException as error:
            raise SettingsError(
                f"librdkafka refused input_topic {settings.input_topic!r}: {error.args[0].str()}"
            ) from error

    def fetch(self, wait_seconds: float) -> Sequence[Record]:
        """See `Source`."""
        self._watchdog.check()
        if self._deadline and not self._joined:
            self._check_protocol()
        self._find_beginnings()
        wait_seconds = 0.0 if self._batch else wait_seconds
        while self._poll(wait_seconds) and not self._is_full():
            wait_seconds = 0.0
        batch, self._batch, self._size = self._batch, [], 0
        self._pauses.release()
        return batch

    def tend(self) -> None:
        """See `Source`. What is polled early is kept for the next fetch, and is no more than a batch."""
        if self._polling or time.monotonic() - self._polled < self._tend_seconds:
            return  # in a rebalance, what is waited for must not begin another
        self._poll(0.0)
        if self._is_full():
            self._pauses.hold()

    def take_lost(self) -> Collection[Partition]:
        """See `Source`."""
        lost, self._lost = self._lost, set()
        return lost

    def take_notes(self) -> Mapping[Partition, str]:
        """See `Source`."""
        notes, self._notes = self._notes, {}
        return notes

    def pause(self, partition: Partition | None) -> None:
        """See `Source`."""
        self._pauses.pause(partition)

    def resume(self, partition: Partition | None) -> None:
        """See `Source`."""
        self._pauses.resume(partition)

    def abandon(self) -> None:
        """Give up all partitions, and tell nothing any more of what a client that does not leave does with them."""
        self._forget("lost", [TopicPartition(*place) for place in sorted(self._pauses.owned)])
        self._abandoned = True

    def _poll(self, wait_seconds: float) -> bool:
        """Serve the client once; return whether it had something, which is in the batch if it was a record."""
        self._polling = True
        try:
            message = self._consumer.poll(wait_seconds)
        finally:
            self._polling = False
        self._polled = time.monotonic()
        if message is None:
            return False
        if error := message.error():
            self._mend(message, error)
        else:
            record = record_of(message)
            self._batch.append(record)
            self._size += record.size
        return True

    def _is_full(self) -> bool:
        return len(self._batch) >= self._settings.batch_records or self._size >= self._settings.batch_bytes

    def problem(self) -> str | None:
        """Return why no records can come, None if they can. A spare member with nothing assigned is well."""
        return None if self._joined else "the group has given this worker no assignment yet"

    def _check_protocol(self) -> None:
        """Raise `KafkaFailed` when the brokers do not speak KIP-848, which librdkafka keeps to itself."""
        if self._deadline is None or time.monotonic() < self._deadline:
            return
        try:
            member = is_member(self._settings, self._consumer.memberid() or "")
        except KafkaException:  # no broker answers; when one does, the question is asked again
            self._deadline = time.monotonic() + _JOIN_SECONDS
            return
        if not member:
            raise KafkaFailed(
                f"no place in the group within {_JOIN_SECONDS:.0f} s with group_protocol consumer; brokers before "
                "4.0, and those that switched it off, do not speak it: set RANER_GROUP_PROTOCOL=classic"
            )
        self._deadline = None  # a member that no partition is left for

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._metrics.skipped.labels(*map(str, _place(partition)))  # from 0, so that a first one is an increase
        self._joined, self._deadline = True, None
        self._pauses.owned.update(_place(partition) for partition in partitions)
        self._tell("assigned", partitions)
        placed = self._positions.of(partitions) if partitions else partitions
        self._notes |= {_place(partition): partition.metadata or "" for partition in placed}
        self._connection.lag.assigned({_place(partition): partition.offset for partition in placed})
        if self._cooperative:
            consumer.incremental_assign(placed)
        else:
            consumer.assign(placed)
        self._pauses.assigned([_place(partition) for partition in partitions])

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._leaving.settle()
        self._leaving.tell()
        self._forget("revoked", partitions)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._joined = False
        self._leaving.tell()
        self._forget("lost", partitions)

    def _forget(self, event: str, partitions: list[TopicPartition]) -> None:
        if self._abandoned:
            return
        gone = {_place(partition) for partition in partitions}
        self._lost |= gone
        self._pauses.lost(gone)
        self._adrift = {place: offset for place, offset in self._adrift.items() if place not in gone}
        self._batch = [record for record in self._batch if record.place not in gone]
        self._size = sum(record.size for record in self._batch)
        self._leaving.forget(gone)
        self._connection.lag.forget(gone)
        self._tell(event, partitions)

    def _tell(self, event: str, partitions: list[TopicPartition]) -> None:
        self._metrics.rebalances.labels(event).inc()
        self._metrics.partitions.set(len(self._pauses.owned))
        places = [f"{partition.topic}[{partition.partition}]" for partition in partitions]
        log.info(f"partitions_{event}", extra={"partitions": places})

    def _mend(self, message: Message, error: KafkaError) -> None:
        """Deal with an error that `poll` returned in place of a record."""
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            offset = message.offset()  # the next fetch asks where it begins
            self._adrift[place_of(message)] = -1 if offset is None else offset
        elif hopeless(error):
            raise failed(error, f"reading {message.topic() or self._settings.input_topic}")
        else:  # a topic not there yet, a broker away: librdkafka tries again
            log.warning("fetch_error", extra={"code": error.name(), "reason": error.str()})

    def _find_beginnings(self) -> None:
        """Begin partitions anew whose offset is no longer there; one that no broker answers for waits for its turn."""
        for place, offset in list(self._adrift.items()):
            try:
                self._start_over(place, offset)
            except KafkaException as error:
                if hopeless(error.args[0]):
                    raise failed(error.args[0], f"reading {self._settings.input_topic}") from error
                where = {"partition": f"{place[0]}[{place[1]}]"}
                log.warning("offsets_unknown", extra={"reason": error.args[0].str(), **where})
                self._adrift[place] = self._adrift.pop(place)  # behind the others: their brokers may be there
                return  # a question may take its seconds, so there is one such a fetch
            del self._adrift[place]

    def _start_over(self, place: Partition, offset: int) -> None:
        """Begin anew a partition whose `offset` is no longer there; negative if it never had one."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_BROKER_SECONDS)
        first = self._positions.first(place[0]) if offset < 0 else self._positions.start
        start = low if first == OFFSET_BEGINNING else high
        held = answered(self._consumer.committed([TopicPartition(*place)], timeout=_BROKER_SECONDS))[0]
        begun = TopicPartition(*place, start, held.metadata or "")
        if start < offset:  # the topic was made anew: what is on its way is of the one before, and its offsets too
            self._leaving.forget({place})
        self._consumer.commit(offsets=[begun], asynchronous=True)  # else what is gone for good stays in the group's lag
        self._connection.lag.assigned({place: start})
        if offset >= 0:
            skipped = max(0, start - offset)
            self._metrics.skipped.labels(place[0], str(place[1])).inc(skipped)
            where = {"partition": f"{place[0]}[{place[1]}]", "start": start}
            log.warning("offsets_skipped", extra={**where, "expected": offset, "skipped": skipped})
        self._restart(begun)

    def _restart(self, partition: TopicPartition) -> None:
        # A partition whose offset was refused cannot be sought (erroneous state), only assigned anew.
        if self._cooperative:
            self._consumer.incremental_unassign([partition])
            self._consumer.incremental_assign([partition])
        else:
            others = [p for p in self._consumer.position(self._consumer.assignment()) if _place(p) != _place(partition)]
            self._consumer.assign([*others, partition])
        self._pauses.again(_place(partition))


def _place(partition: TopicPartition) -> Partition:
    return partition.topic, partition.partition
