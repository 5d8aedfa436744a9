"""The topics of a trial: records are sent into one, and what came out is read when no transaction is open any more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from random import Random
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from consumer.chaos.ledger import Account, Arrival, Place, Sent, annotated, audit, dead_letter, digest, joined
from consumer.demo.feed import messages
from consumer.errors import ChaosFailed
from consumer.kafka.incoming import headers_of
from consumer.kafka.making import made
from consumer.kafka.positions import answered

_BROKER_SECONDS = 30.0
_SILENCE_SECONDS = 60.0
_ASK_SECONDS = 5.0
_READ_SECONDS = 0.2  # a read waits so long for more


@dataclass
class Field:
    """Three topics, a group, and the ledger of what was sent. `client` is what every client is configured with."""

    client: dict[str, str]
    input_topic: str
    output_topic: str
    dead_letter_topic: str
    group: str
    sent: dict[Place, Sent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Connect."""
        self._made: set[str] = set()
        self._admin = made(AdminClient, self.client)
        # Not the administrator's question for a group's offsets: it crashes when a broker that has just started answers
        # that it coordinates no group yet. And not as a reader of committed offsets, which waits for open transactions.
        self._member = made(Consumer, {**self.client, "group.id": self.group, "isolation.level": "read_uncommitted"})

    def make(self, partitions: int, replication: int, **output: str) -> None:
        """Make the topics; `output` has properties of the output topic."""
        properties = {name.replace("_", "."): value for name, value in output.items()}
        topics = {self.input_topic: {}, self.output_topic: properties, self.dead_letter_topic: {}}
        new = [NewTopic(topic, partitions, replication, config=config) for topic, config in topics.items()]
        self._made = set(topics)  # what ends this while it is asked for may exist
        refused = []
        for topic, future in self._admin.create_topics(new, request_timeout=_BROKER_SECONDS).items():
            try:
                future.result()
            except KafkaException as error:
                self._made.remove(topic)
                refused.append(f"{topic}: {error.args[0].str()}")
        if refused:
            raise ChaosFailed(f"topics cannot be made: {'; '.join(refused)}")

    def remove(self) -> None:
        """Delete the topics, those that were made."""
        removed = self._admin.delete_topics(sorted(self._made), request_timeout=_BROKER_SECONDS) if self._made else {}
        for topic, future in removed.items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise ChaosFailed(f"the topic {topic} cannot be removed: {error.args[0].str()}") from error

    def send(self, count: int, random: Random, broken: float = 0.01, pause: float = 0.0, length: int = 40) -> None:
        """Send so many messages, a share of them broken, and enter them in the ledger once acknowledged.

        `pause` is in seconds, after each; `length` in characters, of each text.
        """
        producer = Producer({**self.client, "enable.idempotence": True, "linger.ms": 5})
        for key, value, content in _messages(count, random, broken, length):
            while True:
                try:
                    producer.produce(self.input_topic, value, key, on_delivery=partial(self._enter, key, content))
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(pause)
            time.sleep(pause)
        if left := producer.flush(_BROKER_SECONDS):
            raise ChaosFailed(f"{left} messages were not acknowledged within {_BROKER_SECONDS:.0f} s")

    def close(self) -> None:
        """Disconnect."""
        self._member.close()

    def committed(self) -> dict[int, int]:
        """Return the committed offset of each partition that records were sent to, 0 where there is none."""
        places = [TopicPartition(self.input_topic, number) for number in self.ends()]
        deadline = time.monotonic() + _SILENCE_SECONDS
        while places:
            try:
                answers = answered(self._member.committed(places, timeout=_ASK_SECONDS))
                return {p.partition: max(0, p.offset) for p in answers}
            except KafkaException as error:  # a broker away, a coordinator that is still loading
                if time.monotonic() > deadline:
                    raise ChaosFailed(f"no answer for the committed offsets: {error.args[0].str()}") from error
                time.sleep(0.2)
        return {}

    def ends(self) -> dict[int, int]:
        """Return the end of each partition that records were sent to."""
        ends: dict[int, int] = {}
        for partition, offset in self.sent:
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        return ends

    def lagging(self) -> dict[int, int]:
        """Return the committed offset of each partition that has records beyond it."""
        committed = self.committed()
        return {
            number: committed.get(number, 0) for number, end in self.ends().items() if committed.get(number, 0) < end
        }

    def wait_until_done(self, check: Callable[[], None]) -> None:
        """Wait until everything sent is committed, calling `check`; raise `ChaosFailed` when nothing moves any more."""
        before, heard = self.lagging(), time.monotonic()
        while before:
            check()
            time.sleep(0.2)
            now = self.lagging()
            if now != before:
                before, heard = now, time.monotonic()
            elif time.monotonic() - heard > _SILENCE_SECONDS:
                raise ChaosFailed(f"nothing was committed for {_SILENCE_SECONDS:.0f} s; still behind: {now}")

    def account(self) -> Account:
        """Wait until no transaction is open, read all that is committed, and compare it with the ledger."""
        return audit(self.sent, joined(self._arrival(message) for message in self._read()))

    def _read(self) -> list[Message]:
        ends = self._settled((self.output_topic, self.dead_letter_topic))
        reader = Consumer({**self.client, "group.id": f"{self.group}-reader", "enable.partition.eof": True})
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in ends])
        left, found = {place for place, end in ends.items() if end}, []
        try:
            while left:
                for message in reader.consume(1_000, _READ_SECONDS):
                    place: Any = (message.topic(), message.partition())
                    if not (error := message.error()):
                        found.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        left.discard(place)
        finally:
            reader.close()
        return found

    def _settled(self, topics: Collection[str]) -> dict[tuple[str, int], int]:
        """Return the ends of partitions once a reader of committed messages may read as far as any other."""
        deadline = time.monotonic() + _SILENCE_SECONDS
        while time.monotonic() < deadline:
            ends = self._ends(topics, IsolationLevel.READ_UNCOMMITTED)
            if self._ends(topics, IsolationLevel.READ_COMMITTED) == ends:
                return ends
            time.sleep(0.2)
        raise ChaosFailed(f"a transaction is still open after {_SILENCE_SECONDS:.0f} s")

    def _ends(self, topics: Collection[str], level: IsolationLevel) -> dict[tuple[str, int], int]:
        known = self._admin.list_topics(timeout=_BROKER_SECONDS).topics
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = {TopicPartition(topic, n): latest for topic in topics for n in known[topic].partitions}
        answers = self._admin.list_offsets(places, isolation_level=level)
        return {(p.topic, p.partition): future.result(_BROKER_SECONDS).offset for p, future in answers.items()}

    def _arrival(self, message: Message) -> Arrival:
        topic, partition, value = message.topic() or "", message.partition() or 0, message.value() or b""
        if topic == self.dead_letter_topic:
            return dead_letter(value, message.key(), dict(headers_of(message)), topic, partition)
        return annotated(value, message.key(), topic, partition)

    def _enter(self, key: bytes, content: bytes, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise ChaosFailed(f"sending a message: {error.str()}")
        self.sent[message.partition() or 0, message.offset() or 0] = Sent(key, digest(content))


def _messages(count: int, random: Random, broken: float, length: int) -> Iterable[tuple[bytes, bytes, bytes]]:
    """Yield the key, the value, and what the ledger keeps of it: the text, or the value that cannot be read."""
    texts = cycle([(body["text"] * length)[:length] for message in messages() if (body := _read_object(message.value))])
    for number in range(count):
        key = f"key-{random.randrange(50)}".encode()
        if random.random() < broken:
            yield key, (value := f"{{broken {number}".encode()), value
        else:
            text = f"{number} {next(texts)}"
            yield key, json.dumps({"id": number, "text": text}, ensure_ascii=False).encode(), text.encode()


def _read_object(value: bytes) -> dict[str, Any]:
    try:
        body = json.loads(value)
    except ValueError:
        return {}
    return body if isinstance(body, dict) and isinstance(body.get("text"), str) else {}
