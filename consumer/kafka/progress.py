"""Tells how far the group has come: the log, the lag, the count of commits."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from confluent_kafka import KafkaError

from consumer.kafka.lag import Lag
from consumer.metrics import Metrics
from consumer.records import Partition

_TELL_SECONDS = 1.0

log = logging.getLogger(__name__)


class Progress:
    """Takes note of commits, those that failed too, and says so without flooding the log."""

    def __init__(self, metrics: Metrics, lag: Lag) -> None:
        """`lag` is the consumer's, which its statistics go into too."""
        self._metrics, self._lag = metrics, lag
        self._problem = ""
        self._untold: dict[str, int] = {}
        self._told = 0.0

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """Note offsets that are committed now."""
        self._problem = ""
        self._metrics.commits.labels("ok").inc()
        for place, offset in offsets.items():
            self._lag.committed(place, offset)
        self._untold |= {f"{topic}[{number}]": offset for (topic, number), offset in offsets.items()}
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self.tell()

    def failed(self, error: KafkaError) -> None:
        """Note that a commit did not go through; mostly a rebalance is on its way."""
        self._metrics.commits.labels("failed").inc()
        if error.name() != self._problem:  # said once, not with every batch
            self._problem = error.name()
            log.warning("commit_failed", extra={"code": error.name(), "reason": error.str()})

    def tell(self) -> None:
        """Log what was committed since the last time: the newest offset of each partition, once a second at most."""
        if self._untold:
            log.info("offsets_committed", extra={"offsets": self._untold})
        self._untold, self._told = {}, time.monotonic()
