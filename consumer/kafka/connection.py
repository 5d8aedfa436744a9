"""Whether a client's brokers answer: what its error events and its statistics tell, and how long they did not."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError

from consumer.kafka.lag import Lag
from consumer.metrics import Metrics

SILENT_SECONDS = 5.0  # a broker that owes an answer for so long counts as away
_AWAY = {KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._RESOLVE, KafkaError._SSL}
_COORDINATOR = "GroupCoordinator"  # librdkafka's own name for its connection to it
_HELD_BACK = {"wait-join", "wait-sync"}  # the coordinator answers when all members are there

log = logging.getLogger(__name__)


class Connection:
    """What is known of a client's brokers. Fed by the loop, read by the probes' threads."""

    def __init__(
        self,
        client: str,
        metrics: Metrics,
        silent_seconds: float = SILENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`silent_seconds` is how long an answer may take; `clock` counts seconds from any origin."""
        self._client, self._metrics = client, metrics
        self.lag = Lag(metrics)
        self._silent_seconds, self._clock = silent_seconds, clock
        self._error: str | None = None  # until a broker answers
        self._silence: str | None = None  # until the statistics say otherwise
        self._since: float | None = None  # when the outage began that is not over
        self._told: set[str] = set()  # names of errors since a broker answered
        self._idle = False  # a producer with nothing to send, which makes no connection
        self._clients = 0
        metrics.connected.labels(client).set(1)
        metrics.outages.labels(client)  # at 0 from the start, so that a first one is seen as an increase

    def callbacks(self) -> dict[str, Callable[[Any], None]]:
        """Return what a new client tells its events to; an older one that was given up is not listened to any more."""
        self._clients += 1
        mine = self._clients

        def heard(take: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda event: take(event) if mine == self._clients else None

        return {"error_cb": heard(self.on_error), "stats_cb": heard(self.on_statistics)}

    def give_up(self) -> None:
        """Listen to none of the clients any more."""
        self._clients += 1

    def on_error(self, error: KafkaError) -> None:
        """Take an error event: librdkafka goes on by itself after all but fatal ones."""
        if error.name() not in self._told:  # a broker that is away is tried again many times a second
            self._told.add(error.name())
            log.warning("kafka_error", extra={"client": self._client, "code": error.name(), "reason": error.str()})
        if error.code() in _AWAY and not self._idle:
            self._error = error.str()
            self._note(0.0)

    def on_statistics(self, text: str) -> None:
        """Take librdkafka's statistics: which brokers are up and which owe an answer, where partitions end."""
        statistics = json.loads(text)
        up = [broker for broker in statistics["brokers"].values() if broker["state"] == "UP"]
        self._metrics.brokers.labels(self._client).set(sum(broker["nodeid"] >= 0 for broker in up))
        self._silence, seconds = silence(statistics, self._silent_seconds)
        self._idle = statistics["type"] == "producer" and statistics["msg_cnt"] == 0
        # A member that nothing is assigned to may have its coordinator's connection alone, which has no node's number.
        if (up or self._idle) and not self._silence:
            self._error, self._told = None, set()
        self._note(seconds)
        self.lag.on_statistics(statistics["topics"])

    def on_success(self) -> None:
        """Note that a broker answered; one of several may be silent all the same."""
        self._error, self._told = None, set()
        self._note(0.0)

    def problem(self) -> str | None:
        """Return why the client is not well, None if it is."""
        problem = self._silence or self._error
        return None if problem is None else f"{self._client}: {problem}"

    def outage_seconds(self) -> float:
        """Return how long the outage has lasted that is not over, 0 without one."""
        return 0.0 if self._since is None else self._clock() - self._since

    def _note(self, seconds: float) -> None:
        """Begin or end an outage, which showed itself `seconds` late."""
        problem, now = self.problem(), self._clock()
        if problem and self._since is None:
            self._since = now - seconds
            log.warning("connection_lost", extra={"client": self._client, "reason": problem})
        elif not problem and self._since is not None:
            self._metrics.outages.labels(self._client).observe(now - self._since)
            log.info("connection_back", extra={"client": self._client, "seconds": round(now - self._since, 1)})
            self._since = None
        self._metrics.connected.labels(self._client).set(problem is None)


def silence(statistics: Mapping[str, Any], silent_seconds: float) -> tuple[str | None, float]:
    """Return which broker owes an answer for longer than `silent_seconds`, or that there is no coordinator, and since.

    Neither a frozen broker nor a half-open connection shows otherwise before the request times out.
    """
    group = statistics.get("cgrp", {})
    for broker in statistics["brokers"].values():
        if broker["name"] == _COORDINATOR and group.get("join_state") in _HELD_BACK:
            continue
        # In microseconds, since something was sent or came: a request that was just sent is owed no answer yet.
        seconds = min(broker["rxidle"], broker["txidle"]) / 1_000_000
        if broker["waitresp_cnt"] > 0 and seconds > silent_seconds:
            return f"{broker['name']} has not answered for {seconds:.0f} s", seconds
    if group.get("state", "up") != "up":
        return f"no connection to the group's coordinator ({group['state']})", group["stateage"] / 1000
    return None, 0.0
