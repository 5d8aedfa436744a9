"""The worker's own words for what moves through it, and the two ports to the outside: `Source` and `Delivery`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumer.errors import Reason

Headers = tuple[tuple[str, bytes | None], ...]
Partition = tuple[str, int]  # topic, number
_HEADER_BYTES = 64  # what Python takes for a header, whatever is in it


@dataclass(frozen=True, slots=True)
class Record:
    """A record as Kafka delivered it. `timestamp` is in milliseconds, None where the record has none.

    `headers_error` is why its headers could not be read, nothing if they could.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    headers_error: str = ""

    @property
    def place(self) -> Partition:
        """Its topic and partition."""
        return self.topic, self.partition

    @property
    def size(self) -> int:
        """Its bytes, key, value and headers, each of which takes some for itself."""
        return (
            len(self.key or b"")
            + len(self.value or b"")
            + sum(_HEADER_BYTES + len(name) + len(value or b"") for name, value in self.headers)
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a record: a message for the output topic, or, with a reason, for the dead letters."""

    record: Record
    value: bytes | None
    headers: Headers
    reason: Reason | None = None
    parts: tuple[bytes, ...] = ()  # what is published behind the value, of the same record
    shortened: bool = False  # a dead letter whose value was replaced by its length and digest
    keyless: bool = False  # one whose key was, too
    note: str = ""  # to commit along with its offset, and with later ones until the next note
    entities: tuple[str, ...] = ()  # the types found, for the metrics

    @property
    def values(self) -> tuple[bytes | None, ...]:
        """All that is published of it, in order."""
        return (self.value, *self.parts)

    @property
    def size(self) -> int:
        """The bytes of its values."""
        return sum(len(value or b"") for value in self.values)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An outcome that the broker did not take, and why."""

    outcome: Outcome
    reason: Reason
    error: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a delivery brought to an end: outcomes that are durable with their offsets, and what the broker refused."""

    published: Sequence[Outcome] = ()
    refused: Sequence[Refusal] = ()


class Source(Protocol):
    """Where records come from."""

    def fetch(self, wait_seconds: float) -> Sequence[Record]:
        """Return the next records, bounded in number and bytes, or none after `wait_seconds`.

        Calling it keeps the group membership. Partitions lost meanwhile are reported by `take_lost`.
        """
        ...

    def tend(self) -> None:
        """Keep the group membership while a batch is worked on: call it now and then; it takes no time.

        A rebalance may be served in it, and records may come of it, which the next `fetch` returns.
        """
        ...

    def take_lost(self) -> Collection[Partition]:
        """Return the partitions lost since the last call: nothing of theirs may be delivered any more."""
        ...

    def take_notes(self) -> Mapping[Partition, str]:
        """Return the notes committed along with the offsets of partitions that were assigned since the last call."""
        ...

    def pause(self, partition: Partition | None) -> None:
        """Fetch no more from a partition, or with None from any, those still to be assigned included."""
        ...

    def resume(self, partition: Partition | None) -> None:
        """Take back the `pause` of the same argument."""
        ...


class Delivery(Protocol):
    """Where outcomes go. Publishing and committing are one step, so that a guarantee is one implementation."""

    @property
    def pending(self) -> bool:
        """Whether outcomes were taken that are not durable yet."""
        ...

    def deliver(self, outcomes: Sequence[Outcome]) -> Receipt:
        """Publish outcomes and commit their offsets; return what is durable by now, and what the broker refused.

        What is in neither list is pending, and comes with a later receipt. A refused outcome's partition is not
        committed at or past it until an outcome of the same record is delivered.
        """
        ...

    def finish(self) -> Receipt:
        """Make durable what is pending. In a rebalance it may stay pending until the source has fetched again."""
        ...

    def forget(self, partitions: Collection[Partition]) -> None:
        """Publish and commit nothing more of partitions that are lost."""
        ...
