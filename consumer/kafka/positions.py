"""Where partitions begin: at their committed offsets, else where a group starts, which is committed at once."""

from __future__ import annotations

import logging

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from consumer.kafka.clients import partitions_of
from consumer.settings import Settings

_BROKER_SECONDS = 5.0

log = logging.getLogger(__name__)


class Positions:
    """Finds the offset to begin each partition at."""

    def __init__(self, consumer: Consumer, settings: Settings) -> None:
        self._consumer, self._settings = consumer, settings
        self.start = OFFSET_BEGINNING if settings.start_from == "earliest" else OFFSET_END

    def of(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return partitions with the offset to begin at: the committed one, else the start, which is committed now.

        Without that commit a group has no lag, and what scales by lag never starts a worker. All are asked for at
        once: later, each question would wait behind a fetch.
        """
        try:
            committed = answered(self._consumer.committed(partitions, timeout=_BROKER_SECONDS))
            places = [(p.topic, p.partition) for p in committed if p.offset < 0]
            if not places:
                return committed
            firsts = {topic: self.first(topic) for topic in {topic for topic, _ in places}}
            fresh = [TopicPartition(*place, firsts[place[0]]) for place in places]
            asked = self._consumer.offsets_for_times(fresh, timeout=_BROKER_SECONDS)
            if starts := [p for p in asked if not p.error]:
                self._consumer.commit(offsets=starts, asynchronous=True)
        except KafkaException as error:
            log.warning("offsets_unknown", extra={"reason": error.args[0].str()})
            return partitions  # librdkafka asks again by itself, and `_start_over` deals with what it finds
        unknown = []  # whose broker is away: they are asked again, and the others begin
        for p in asked:
            if p.error:
                where = {"partition": f"{p.topic}[{p.partition}]"}
                log.warning("offsets_unknown", extra={"reason": p.error.str(), **where})
                unknown.append(TopicPartition(p.topic, p.partition))
        log.info("partitions_begun", extra={"offsets": {f"{p.topic}[{p.partition}]": p.offset for p in starts}})
        return [*(p for p in committed if p.offset >= 0), *starts, *unknown]

    def first(self, topic: str) -> int:
        """Return where a partition begins that has no offset: one that was added to its topic, at its beginning."""
        if self.start == OFFSET_BEGINNING:
            return OFFSET_BEGINNING
        everywhere = [TopicPartition(topic, number) for number in partitions_of(self._settings, topic)]
        known = self._consumer.committed(everywhere, timeout=_BROKER_SECONDS)
        return OFFSET_BEGINNING if any(p.offset >= 0 for p in answered(known)) else self.start


def answered(partitions: list[TopicPartition]) -> list[TopicPartition]:
    """Return partitions that the broker answered for; raise `KafkaException` if it could not for one of them."""
    if error := next((p.error for p in partitions if p.error), None):
        raise KafkaException(error)
    return partitions
