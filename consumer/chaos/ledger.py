"""Every record that was sent, every one that came out, and what does not add up. Pure functions, no Kafka."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_DIGITS = 16

Place = tuple[int, int]  # partition and offset in the input topic


@dataclass(frozen=True, slots=True)
class Sent:
    """A record as it was sent."""

    key: bytes | None
    digest: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it was read: the record it came of, and where it lay. `name` is its `record_id`, or the like."""

    source: Place
    name: str
    key: bytes | None
    digest: str
    topic: str
    partition: int
    part: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the records, in counts; a clean one has nothing but zeros after `arrived`."""

    sent: int
    arrived: int
    lost: int
    doubled: int  # arrivals beyond the first of a record
    doubled_by_name: int  # those that are left after equal names are dropped
    disordered: int  # first arrivals of a key that come behind a later one of it
    strange: int  # of records that were not sent, or with other content


def digest(content: bytes) -> str:
    """Return what two equal contents have in common."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def annotated(value: bytes, key: bytes | None, topic: str, partition: int) -> Arrival:
    """Return the arrival of an annotated message; its digest is of the text."""
    body = json.loads(value)
    source, text = body["source"], body["text"]
    place = (source["partition"], source["offset"])
    its = body["text_omitted"]["sha256"][:_DIGITS] if text is None else digest(text.encode())
    part, parts = body.get("part", 1), body.get("parts", 1)
    return Arrival(place, body["record_id"], key, its, topic, partition, part, parts)


def joined(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Return whole arrivals: the first part stands for a message whose parts all came, others are left out."""
    found = list(arrivals)
    came = Counter((arrival.name, arrival.parts, arrival.part) for arrival in found)
    return [
        arrival
        for arrival in found
        if arrival.part == 1 and all(came[arrival.name, arrival.parts, n + 1] for n in range(arrival.parts))
    ]


def dead_letter(
    value: bytes, key: bytes | None, headers: Mapping[str, bytes | None], topic: str, partition: int
) -> Arrival:
    """Return the arrival of a dead letter; its digest is of the value."""
    number, offset = (int(headers[f"raner.source.{name}"] or b"-1") for name in ("partition", "offset"))
    return Arrival((number, offset), f"{number}-{offset}", key, digest(value), topic, partition)


def audit(sent: Mapping[Place, Sent], arrivals: Sequence[Arrival]) -> Account:
    """Compare what was sent with what arrived, the arrivals of a partition in their order."""
    first: dict[Place, Arrival] = {}
    names: set[tuple[Place, str]] = set()
    for arrival in arrivals:
        first.setdefault(arrival.source, arrival)
        names.add((arrival.source, arrival.name))
    strange = sum(
        arrival.source not in sent or sent[arrival.source] != Sent(arrival.key, arrival.digest) for arrival in arrivals
    )
    return Account(
        sent=len(sent),
        arrived=len(arrivals),
        lost=len(sent.keys() - first.keys()),
        doubled=len(arrivals) - len(first),
        doubled_by_name=len(names) - len(first),
        disordered=_disordered(first.values()),
        strange=strange,
    )


def _disordered(arrivals: Iterable[Arrival]) -> int:
    latest: dict[tuple[str, int, bytes | None, int], int] = {}
    count = 0
    for arrival in arrivals:
        number, offset = arrival.source
        lane = (arrival.topic, arrival.partition, arrival.key, number)
        count += offset < latest.get(lane, -1)
        latest[lane] = max(offset, latest.get(lane, -1))
    return count
