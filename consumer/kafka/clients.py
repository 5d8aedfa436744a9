"""What both clients share: their configuration, their log, and calls that may hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from consumer.errors import KafkaFailed
from consumer.kafka.connection import SILENT_SECONDS, Connection
from consumer.kafka.making import made, number
from consumer.kafka.security import administrator, connection_properties
from consumer.settings import Settings, kafka_properties

T = TypeVar("T")
OnCommit = Callable[[KafkaError | None, list[TopicPartition]], None]
STATISTICS_MILLISECONDS = 2_000  # how soon a broker that does not answer is seen
_WAIT_SECONDS = 0.2
_ADMIN_SECONDS = 10.0
_PROBE_SECONDS = 3.0  # the loop stands still meanwhile
_TRANSACTION_MILLISECONDS = 15_000  # how long a transaction that a killed worker left open holds up its readers
_MAX_POLL_MILLISECONDS = 300_000  # librdkafka's default
_FETCH_WAIT_MILLISECONDS = 500  # librdkafka's default
_ANSWER_MILLISECONDS = 15_000  # after which a connection is given up: librdkafka's minute is long for a half-open one
_BATCHES_AHEAD = 4  # that are prefetched of a partition, and what one more response has
_MOST_AHEAD = 100_000  # records: librdkafka's default
_BACKOFF_MILLISECONDS = 100  # how soon such a partition is fetched again; a second would starve a fast worker
_REFRESH_MILLISECONDS = 30_000  # how soon topics and partitions that were added are seen
_MAX_MESSAGE_BYTES = 1024**2  # the broker's default limit, which librdkafka's own stays below
_HOPELESS = {
    KafkaError._AUTHENTICATION,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
}


def consumer_properties(settings: Settings) -> dict[str, Any]:
    """Return the consumer's librdkafka configuration."""
    member = {"group.instance.id": settings.group_instance_id} if settings.group_instance_id else {}
    if settings.group_protocol == "classic":
        member["partition.assignment.strategy"] = "cooperative-sticky"
    return {
        **connection_properties(settings),
        "socket.timeout.ms": _ANSWER_MILLISECONDS,
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Without an offset, or with one that retention removed, the source is asked instead of librdkafka's guess.
        "auto.offset.reset": "error",
        "group.protocol": settings.group_protocol,
        **member,
        "topic.metadata.refresh.interval.ms": _REFRESH_MILLISECONDS,
        "queued.max.messages.kbytes": settings.fetch_queue // 1024,
        "fetch.max.bytes": settings.fetch_queue,
        "message.max.bytes": min(_MAX_MESSAGE_BYTES, settings.fetch_queue),  # no more than that, says librdkafka
        # The prefetched records of all partitions are one queue, and a partition that comes to us waits behind it.
        "queued.min.messages": min(_BATCHES_AHEAD * settings.batch_records, _MOST_AHEAD),
        "fetch.message.max.bytes": min(settings.fetch_queue, settings.batch_bytes),
        "fetch.queue.backoff.ms": _BACKOFF_MILLISECONDS,
        "statistics.interval.ms": STATISTICS_MILLISECONDS,
        **kafka_properties(settings, "consumer"),
    }


def producer_properties(settings: Settings, transactional_id: str = "") -> dict[str, Any]:
    """Return the producer's librdkafka configuration, a transactional producer's with an id."""
    patience = (
        {"transactional.id": transactional_id, "transaction.timeout.ms": _TRANSACTION_MILLISECONDS}
        if transactional_id
        else {
            "message.timeout.ms": 0,  # a broker that is away is waited for, not given up
            # A transactional producer derives these from its transaction's.
            "socket.timeout.ms": _ANSWER_MILLISECONDS,
            "request.timeout.ms": _ANSWER_MILLISECONDS,
        }
    )
    return {
        **connection_properties(settings),
        "enable.idempotence": True,
        **patience,
        "partitioner": "murmur2_random",  # as Java's, so that keys meet those of Java producers
        "compression.type": "lz4",
        "queue.buffering.max.kbytes": settings.send_queue // 1024,
        # A message that the queue cannot hold would be waited for in vain.
        "message.max.bytes": min(_MAX_MESSAGE_BYTES, settings.send_queue // 1024 * 1024),
        "statistics.interval.ms": STATISTICS_MILLISECONDS,
        **kafka_properties(settings, "producer"),
    }


def max_poll_seconds(settings: Settings) -> float:
    """Return how long the consumer may go without polling before it is expelled."""
    return number(consumer_properties(settings), "max.poll.interval.ms", _MAX_POLL_MILLISECONDS) / 1000


def silent_seconds(settings: Settings) -> float:
    """Return how long a broker may owe the consumer an answer: it holds one back while there is nothing to fetch."""
    wait = number(consumer_properties(settings), "fetch.wait.max.ms", _FETCH_WAIT_MILLISECONDS)
    return SILENT_SECONDS + wait / 1000


def transaction_seconds(settings: Settings) -> float:
    """Return how long the broker leaves a transaction open."""
    return number(producer_properties(settings, "any"), "transaction.timeout.ms", _TRANSACTION_MILLISECONDS) / 1000


def is_member(settings: Settings, member: str, seconds: float = _ADMIN_SECONDS) -> bool:
    """Ask the broker whether a member is in the group; raise `KafkaException` if it does not answer."""
    admin = administrator(settings)
    (future,) = admin.describe_consumer_groups([settings.group_id], request_timeout=seconds).values()
    try:
        group: Any = future.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return False
        raise
    return member in {each.member_id for each in group.members}


def partitions_of(settings: Settings, topic: str) -> list[int]:
    """Return the numbers of a topic's partitions; raise `KafkaException` if no broker answers.

    A consumer that is asked for them in a rebalance crashes at its next callback (confluent-kafka 2.16.1).
    """
    return list(administrator(settings).list_topics(topic, timeout=_PROBE_SECONDS).topics[topic].partitions)


def answers(settings: Settings) -> bool:
    """Whether the brokers, and the group's coordinator, answer a new client."""
    try:
        is_member(settings, "", _PROBE_SECONDS)
    except KafkaException:
        return False
    return True


def max_message_bytes(settings: Settings) -> int:
    """Return the largest message that the producer takes."""
    return number(producer_properties(settings), "message.max.bytes", _MAX_MESSAGE_BYTES)


def make_consumer(settings: Settings, connection: Connection, on_commit: OnCommit | None = None) -> Consumer:
    """Make the consumer, and have `on_commit` hear what becomes of commits that are not waited for.

    Raises `SettingsError` for a property that librdkafka refuses.
    """
    heard = {"on_commit": on_commit} if on_commit else {}
    return made(Consumer, consumer_properties(settings) | connection.callbacks() | heard)


def make_producer(settings: Settings, connection: Connection, transactional_id: str = "") -> Producer:
    """Make the producer; raise `SettingsError` for a property that librdkafka refuses."""
    return made(Producer, producer_properties(settings, transactional_id) | connection.callbacks())


def failed(error: KafkaError, what: str) -> KafkaFailed:
    """Return the exception for an error that ends the process."""
    return KafkaFailed(f"{what}: {error.str()} ({error.name()})")


def hopeless(error: KafkaError) -> bool:
    """Whether waiting cannot mend an error: a fatal client, a wrong password, a missing right."""
    return bool(error.fatal()) or error.code() in _HOPELESS


def patiently(call: Callable[[], T], waiting: Callable[[], None]) -> T:
    """Run a client's blocking call in a thread, calling `waiting` until it returns; `waiting` may raise to give up."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - handed over to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while True:
        thread.join(_WAIT_SECONDS)
        if not thread.is_alive():
            break
        waiting()
    if errors:
        raise errors[0]
    return results[0]
