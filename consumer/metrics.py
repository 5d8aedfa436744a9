"""Every metric the worker exports, in one catalogue. Nothing else imports prometheus_client."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

from consumer.errors import Reason

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_OUTAGES = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 1800)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048)
_SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Row:
    """A metric as the documentation lists it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


class Metrics:
    """The catalogue. Each instance has a registry of its own."""

    def __init__(self) -> None:
        # A second series for each counter, with the time it was made, helps no one here.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._rows: list[Row] = []

        # Work
        self.records_in = self._add(Counter, "records_in_total", "Records taken from the input topic")
        self.records_out = self._add(Counter, "records_out_total", "Records published to the output topic")
        self.dead_letters = self._add(Counter, "dead_letters_total", "Records sent to the dead letters", "reason")
        self.entities = self._add(Counter, "entities_total", "Entities published", "type")
        self.characters = self._add(Counter, "characters_total", "Characters annotated")
        self.long_documents = self._add(Gauge, "long_documents", "Long texts being worked on or waiting")

        # Time
        self.stages = self._add(
            Histogram, "stage_seconds", "Time of a stage: decode, annotate, encode, deliver", "stage", buckets=_SECONDS
        )
        self.latency = self._add(
            Histogram, "end_to_end_seconds", "From a record's timestamp to its acknowledged output", buckets=_LATENCY
        )

        # The engine
        self.batch_tokens = self._add(Histogram, "batch_tokens", "Padded tokens of a batch", buckets=_TOKENS)
        self.padding = self._add(Histogram, "batch_padding_ratio", "Share of padding in a batch", buckets=_SHARES)
        self.batch_budget = self._add(Gauge, "batch_budget_tokens", "Padded tokens that a batch may have")

        # Kafka
        self.lag = self._add(Gauge, "lag_records", "Records behind the end of a partition", "topic", "partition")
        self.partitions = self._add(Gauge, "assigned_partitions", "Partitions this worker owns")
        self.rebalances = self._add(Counter, "rebalances_total", "Assignments, revocations and losses", "event")
        self.commits = self._add(Counter, "commits_total", "Offset commits", "result")
        self.transactions = self._add(Counter, "transactions_total", "Transactions, committed or aborted", "result")
        self.skipped = self._add(
            Counter, "offsets_skipped_total", "Offsets that were gone before they were read", "topic", "partition"
        )
        self.brokers = self._add(Gauge, "brokers_up", "Brokers that the client is connected to", "client")
        self.connected = self._add(
            Gauge, "connected", "Whether the client's brokers, and the group's coordinator, answer: 1 or 0", "client"
        )
        self.outages = self._add(
            Histogram, "outage_seconds", "How long they did not, until they did again", "client", buckets=_OUTAGES
        )
        self.renewed = self._add(Counter, "clients_renewed_total", "Times that Kafka clients were stuck and made anew")
        self.resent = self._add(Counter, "records_resent_total", "Records sent again, one by one, after a refusal")

        # Memory
        self.resident = self._add(Gauge, "resident_memory_bytes", "Resident memory")
        self.peak = self._add(Gauge, "resident_memory_peak_bytes", "Highest resident memory since the start")
        self.limit = self._add(Gauge, "memory_limit_bytes", "Memory cap; 0 without one")
        self.memory_actions = self._add(Counter, "memory_actions_total", "What the watch did", "action")

        self.model = self._add(Info, "model", "The model: name, revision, digest")

        for reason in Reason:
            self.dead_letters.labels(reason.value)  # at 0 from the start, so that a first one is seen as an increase

    def stage(self, name: str) -> AbstractContextManager[object]:
        """Time a block as a stage."""
        timer: AbstractContextManager[object] = self.stages.labels(name).time()
        return timer

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def rows(self) -> Sequence[Row]:
        """Return the catalogue for the documentation."""
        return tuple(self._rows)

    def _add(self, kind: Any, name: str, help: str, *labels: str, **options: Any) -> Any:
        metric: Collector = kind(f"raner_{name}", help, labels, registry=self.registry, **options)
        shown = f"raner_{name}_info" if kind is Info else f"raner_{name}"
        self._rows.append(Row(shown, kind.__name__.lower(), labels, help))
        return metric
