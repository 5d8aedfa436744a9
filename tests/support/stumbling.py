"""Runs a worker that comes to grief at a named point, or that has a mistake in it.

`python stumbling.py POINT SIGNAL NUMBER MUTANT run` sends itself SIGNAL the NUMBERth time it comes to POINT with
records in flight; `-` stands for no point, and for no mistake.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from consumer.cli import main
from consumer.errors import ClientStuck
from consumer.kafka.commits import Commits
from consumer.kafka.delivery import AtLeastOnceDelivery
from consumer.kafka.exactly_once import ExactlyOnceDelivery
from consumer.kafka.source import KafkaSource
from consumer.kafka.transactions import Transactions
from consumer.kafka.watchdog import Watchdog

POINTS = ("after_fetch", "after_produce", "before_commit", "after_commit")
_BEFORE_COMMIT = ((Commits, "_ask"), (Transactions, "_committed"))
_AFTER_COMMIT = ((Commits, "_taken"), (Transactions, "_committed"))


class Trap:
    """Sends a signal to its own process when it is passed for the `number`th time."""

    def __init__(self, sent: str, number: int) -> None:
        self._signal, self._left = signal.Signals[sent], number

    def passed(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)


def lay(trap: Trap, point: str) -> None:
    """Put a trap at a point."""
    if point == "after_fetch":
        _after(KafkaSource, "fetch", trap, bool)
    elif point == "after_produce":
        for owner in (AtLeastOnceDelivery, Transactions):
            _after(owner, "_publish", trap, lambda _: True, lambda outcomes, *_: bool(outcomes))
    elif point == "before_commit":
        for owner, name in _BEFORE_COMMIT:
            _before(owner, name, trap)
    elif point == "after_commit":
        for owner, name in _AFTER_COMMIT:
            _after(owner, name, trap, lambda _: True)


def commit_before_produce() -> None:
    """Commit a batch's offsets, and only then publish it; wait for each commit, so that they can be counted."""
    deliver, send = AtLeastOnceDelivery.deliver, Commits.send

    def early(self: Any, outcomes: Any) -> Any:
        for outcome in outcomes:
            self._commits.add(outcome.record.place, outcome.record.offset + 1, "")
        self._commits.send(self._consumer, ())
        return deliver(self, outcomes)

    AtLeastOnceDelivery.deliver = early  # type: ignore[method-assign]
    Commits.send = lambda self, consumer, but, **_: send(self, consumer, but, wait=True)  # type: ignore[method-assign]


def commit_without_reports() -> None:
    """Commit what was handed to the producer, whether a broker has it or not."""
    os.environ["RANER_KAFKA_PRODUCER_LINGER_MS"] = "10000"  # so that no broker has it yet

    def hasty(self: Any, outcomes: Any) -> Any:
        for outcome in outcomes:
            self._publisher.produce(self._producer, outcome, lambda *_: None)
        return []

    AtLeastOnceDelivery._publish = hasty  # type: ignore[method-assign]


def offsets_outside() -> None:
    """Commit the transaction, and the offsets after it by the consumer."""
    attempt, made = Transactions.attempt, ExactlyOnceDelivery.__init__
    consumers: list[Any] = []

    def noted(self: Any, consumer: Any, *rest: Any) -> None:
        consumers.append(consumer)
        made(self, consumer, *rest)

    def apart(self: Any, outcomes: Any, offsets: Any, group: Any) -> Any:
        failures = attempt(self, outcomes, [], group)
        if not failures:
            consumers[-1].commit(offsets=offsets, asynchronous=False)
        return failures

    ExactlyOnceDelivery.__init__ = noted  # type: ignore[method-assign]
    Transactions.attempt = apart  # type: ignore[method-assign]


def ignored_revocation() -> None:
    """Keep what was taken of revoked partitions, and commit it whoever owns them now."""
    KafkaSource._on_revoke = lambda self, _, partitions: self._tell("revoked", partitions)  # type: ignore[method-assign]
    ExactlyOnceDelivery._ready = lambda self: list(self._pending)  # type: ignore[method-assign]


def stuck() -> None:
    """No mistake: Kafka's clients count as stuck once, with records in flight."""
    check = Watchdog.check
    calls: list[int] = []

    def struck(self: Any) -> None:
        check(self)
        calls.append(1)
        if len(calls) == 5:
            raise ClientStuck("said so")

    Watchdog.check = struck  # type: ignore[method-assign]


MUTANTS = {
    "commit_before_produce": commit_before_produce,
    "commit_without_reports": commit_without_reports,
    "ignored_revocation": ignored_revocation,
    "offsets_outside": offsets_outside,
    "stuck": stuck,
}


def _before(owner: type, name: str, trap: Trap) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def trapped(*arguments: Any, **options: Any) -> Any:
        trap.passed()
        return original(*arguments, **options)

    setattr(owner, name, trapped)


def _after(
    owner: type,
    name: str,
    trap: Trap,
    counts: Callable[[Any], bool],
    begins: Callable[..., bool] = lambda *_: True,
) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def trapped(self: Any, *arguments: Any) -> Any:
        result = original(self, *arguments)
        if counts(result) and begins(*arguments):
            trap.passed()
        return result

    setattr(owner, name, trapped)


if __name__ == "__main__":
    point, sent, number, mutant, *command = sys.argv[1:]
    if mutant != "-":
        MUTANTS[mutant]()
    if point != "-":
        lay(Trap(sent, int(number)), point)
    main(command)
