"""Both clients, and what is made of them: a source and a delivery."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from confluent_kafka import Consumer

from consumer import slots
from consumer.errors import DrainExpired
from consumer.health import Health, Shutdown
from consumer.kafka.clients import make_consumer, make_producer, patiently, silent_seconds, transaction_seconds
from consumer.kafka.commits import Commits
from consumer.kafka.connection import Connection
from consumer.kafka.delivery import AtLeastOnceDelivery
from consumer.kafka.exactly_once import ExactlyOnceDelivery, Size
from consumer.kafka.progress import Progress
from consumer.kafka.publishing import Publisher
from consumer.kafka.security import check_rights
from consumer.kafka.source import KafkaSource
from consumer.kafka.transactions import Identity, Transactions
from consumer.metrics import Metrics
from consumer.settings import Settings

_LEAVING_SECONDS = 5.0  # librdkafka waits as long for an answer when it leaves the group

log = logging.getLogger(__name__)


class Kafka:
    """Everything that speaks Kafka. Left in order: what was committed is told, the group is left."""

    def __init__(self, settings: Settings, metrics: Metrics, health: Health, shutdown: Shutdown) -> None:
        """Make the clients and subscribe; raise `KafkaFailed` for rights that are missing."""
        patiently(partial(check_rights, settings), shutdown.check)
        incoming = Connection("consumer", metrics, silent_seconds(settings))
        outgoing = Connection("producer", metrics)
        waiting = self._wait
        self._health, self._shutdown = health, shutdown
        self._connections = incoming, outgoing
        self._leaving: Shutdown | None = None
        self._slot: slots.Slot | None = None
        commits = Commits(Progress(metrics, incoming.lag))
        self._consumer = make_consumer(settings, incoming, commits.on_answer)
        self.delivery: AtLeastOnceDelivery | ExactlyOnceDelivery
        if settings.delivery == "exactly-once":
            name = self._name(settings)
            self.delivery = exactly_once(settings, self._consumer, (incoming, outgoing), metrics, name, waiting)
        else:
            producer = make_producer(settings, outgoing)
            self.delivery = AtLeastOnceDelivery(self._consumer, producer, settings, metrics, outgoing, commits, waiting)
        self.source = KafkaSource(self._consumer, settings, metrics, incoming, self.delivery)
        health.watch(incoming.problem, self.source.problem, outgoing.problem)

    def __enter__(self) -> Kafka:
        try:
            self.delivery.open(lambda: self._shutdown.requested)
        except BaseException:
            self.__exit__()  # a member that does not leave is waited for, by its group and by its own process
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.delivery.tell()
        self._leaving = Shutdown(_LEAVING_SECONDS, time.monotonic)
        self._leaving.request()
        try:
            patiently(self._consumer.close, self._leaving.check)
        except DrainExpired:  # the broker does not answer; it will notice that we are gone
            log.warning("group_not_left", extra={"seconds": _LEAVING_SECONDS})
            self.source.abandon()
            for connection in self._connections:
                connection.give_up()
        if self._slot:
            self._slot.free()

    def _wait(self) -> None:
        """Do what must go on while a broker keeps a delivery waiting: beat, keep the deadline and the membership."""
        self._health.beat()
        self._shutdown.check()
        if self._leaving:  # the last partitions are given up in another thread, which may outlive us
            self._leaving.check()
        else:
            self.source.tend()

    def _name(self, settings: Settings) -> str:
        if settings.transactional_id:
            return settings.transactional_id
        self._slot = slots.claim(settings.group_id)
        return self._slot.name


def exactly_once(
    settings: Settings,
    consumer: Consumer,
    connections: tuple[Connection, Connection],
    metrics: Metrics,
    name: str,
    waiting: Callable[[], None],
) -> ExactlyOnceDelivery:
    """Put together what delivers in transactions under a transactional id."""
    incoming, outgoing = connections
    transactions = Transactions(
        partial(make_producer, settings, outgoing, name),
        Identity(name, transaction_seconds(settings)),
        Publisher(settings, waiting),
        metrics,
        outgoing.on_success,
        waiting,
    )
    size = Size(settings.transaction_records, settings.transaction_bytes, settings.transaction_seconds)
    return ExactlyOnceDelivery(consumer, transactions, size, Progress(metrics, incoming.lag))
