"""Notices a client that does not find back to brokers that answer others."""

from __future__ import annotations

from collections.abc import Callable

from consumer.errors import ClientStuck

PATIENCE_SECONDS = 15.0  # of an outage, before anybody is asked
ASK_EVERY_SECONDS = 10.0


class Watchdog:
    """Asks a new client whether it is the old one that is to blame for an outage.

    librdkafka can take a broker off its list, and wait for ever for the coordinator that it was (its issues 5456 and
    5511). A broker that has just come back answers a new client sooner than one that waits before it tries again, so
    that it takes two answers in a row.
    """

    def __init__(
        self, outage_seconds: Callable[[], float], answers: Callable[[], bool], clock: Callable[[], float]
    ) -> None:
        """`outage_seconds` tells how long the client has been out, `answers` whether the brokers answer another."""
        self._outage_seconds, self._answers, self._clock = outage_seconds, answers, clock
        self._next = 0.0
        self._answered = False

    def check(self) -> None:
        """Raise `ClientStuck` when the brokers have answered others for a while, and the client not yet."""
        seconds = self._outage_seconds()
        if seconds < PATIENCE_SECONDS:
            self._answered = False
            return
        if self._clock() < self._next:
            return
        answered = self._answers()
        if answered and self._answered:
            raise ClientStuck(f"no connection for {seconds:.0f} s to brokers that answer another client")
        self._answered, self._next = answered, self._clock() + ASK_EVERY_SECONDS
