"""Dead letters: a record's own bytes, and headers that say what happened, in our words and in those of other tools."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from consumer.errors import Reason
from consumer.records import Outcome, Record

DIALECTS = ("connect", "spring")
OWN = "raner."
CONNECT = "__connect.errors."
SPRING = "kafka_dlt-"
# Kafka Connect's names for where a record fails.
_STAGES = {"decode": "VALUE_CONVERTER", "encode": "TRANSFORMATION", "deliver": "TASK_PUT"}


@dataclass(frozen=True, slots=True)
class Letters:
    """Writes dead letters, with the headers of other tools where they are asked for; `group` is the worker's."""

    dialects: tuple[str, ...] = ()
    group: str = ""

    def write(self, record: Record, reason: Reason, stage: str, error: str) -> Outcome:
        """Make the dead letter of a record: its own bytes, key and headers, and headers that say what happened."""
        headers = [*record.headers, *_own(record, reason, stage, error)]
        if "connect" in self.dialects:
            headers += _connect(record, self.group, reason, stage, error)
        if "spring" in self.dialects:
            headers += _spring(record, self.group, reason, error)
        return Outcome(record, record.value, tuple(headers), reason)


def shortened(letter: Outcome) -> Outcome:
    """Replace a dead letter's value by its length and digest, and leave the record's own headers out.

    One that is shortened already loses its key in the same way.
    """
    record, keyless = letter.record, letter.shortened
    stub: dict[str, object] = {"value_omitted": True, **_digest(record.value)}
    if keyless:
        stub |= {"key_omitted": True, **{f"key_{name}": told for name, told in _digest(record.key).items()}}
    told = letter.headers if keyless else letter.headers[len(record.headers) :]
    return Outcome(record, json.dumps(stub).encode(), told, letter.reason, shortened=True, keyless=keyless)


def _digest(value: bytes | None) -> dict[str, object]:
    if value is None:
        return {"length": None, "sha256": None}
    return {"length": len(value), "sha256": hashlib.sha256(value).hexdigest()}


def _own(record: Record, reason: Reason, stage: str, error: str) -> Iterator[tuple[str, bytes]]:
    told = {
        "reason": reason.value,
        "stage": stage,
        "error": error,
        "source.topic": record.topic,
        "source.partition": str(record.partition),
        "source.offset": str(record.offset),
        "source.timestamp": "" if record.timestamp is None else str(record.timestamp),
    }
    return _texts(OWN, told)


def _connect(record: Record, group: str, reason: Reason, stage: str, error: str) -> Iterator[tuple[str, bytes]]:
    told = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "connector.name": group,
        "task.id": "0",
        "stage": _STAGES[stage],
        "class.name": "raner-stream",
        "exception.class.name": f"{OWN}{reason.value}",
        "exception.message": error,
    }
    return _texts(CONNECT, told)


def _spring(record: Record, group: str, reason: Reason, error: str) -> Iterator[tuple[str, bytes]]:
    yield from _texts(SPRING, {"original-topic": record.topic})
    yield f"{SPRING}original-partition", record.partition.to_bytes(4, "big")  # Java's int and long
    yield f"{SPRING}original-offset", record.offset.to_bytes(8, "big")
    if record.timestamp is not None:
        yield f"{SPRING}original-timestamp", record.timestamp.to_bytes(8, "big", signed=True)
    told = {
        "original-consumer-group": group,
        "exception-fqcn": f"{OWN}{reason.value}",
        "exception-message": error,
    }
    yield from _texts(SPRING, told)


def _texts(prefix: str, told: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    return ((prefix + name, text.encode("utf-8", "replace")) for name, text in told.items())
