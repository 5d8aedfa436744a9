"""Goes through the dead letters and sends again what can be; each record only so often."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from consumer.dlq.letter import Letter, wants
from consumer.errors import KafkaFailed
from consumer.kafka.resending import Refused
from consumer.records import Headers, Record
from consumer.settings import Settings
from consumer.topics import reads

_BATCH = 100
# What is refused is kept in a note along with a committed offset. So many and a batch fit into the 4,096 bytes that a
# broker takes, with ten for each; and where so many are refused for themselves, it is hardly the records.
_MOST_REFUSED = 300

Commit = Callable[[Mapping[int, int], Collection[tuple[int, int]]], None]


class Sender(Protocol):
    """Where records go again."""

    def send(self, record: Record, topic: str, partition: int, headers: Headers, timestamp: int | None) -> None:
        """Queue a record's key and value."""
        ...

    def settle(self) -> Sequence[Refused]:
        """Wait until everything is acknowledged, and return what was refused."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What is sent again: what matches, so fast, so often, and only to the topics that are read."""

    input_topic: str
    wanted: Mapping[str, str]
    max_attempts: int
    rate: float | None = None
    dry_run: bool = False

    def obstacle(self, letter: Letter) -> str:
        """Return why a letter is passed over, nothing if it is not."""
        if not letter.is_ours:
            return "not_ours"
        if not wants(self.wanted, letter):
            return "filtered"
        if letter.attempts >= self.max_attempts:
            return "exhausted"
        if letter.omitted:
            return "value_omitted"
        return "" if reads(self.input_topic, letter.told["topic"]) else "other_topic"


@dataclass
class Count:
    """What became of the letters: sent again, refused by the broker, passed over and why."""

    replayed: int = 0
    refusals: list[Refused] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)

    @property
    def refused(self) -> int:
        """How many the broker refused."""
        return len(self.refusals)

    @property
    def hopeless(self) -> bool:
        """Whether the letters behind would be refused too: not for themselves, or too many to believe that."""
        return self.refused >= _MOST_REFUSED or not all(each.of_the_record for each in self.refusals)

    def __str__(self) -> str:
        passed = [f"{number} passed over ({why})" for why, number in self.passed_over.items()]
        return ", ".join((f"{self.replayed} replayed", f"{self.refused} refused by the broker", *passed))


def terms(settings: Settings, wanted: Mapping[str, str], max_attempts: int, rate: float | None, dry_run: bool) -> Terms:
    """Return the terms of a worker's settings."""
    return Terms(settings.input_topic, wanted, max_attempts, rate, dry_run)


def replay(
    letters: Iterable[Letter],
    terms: Terms,
    sender: Sender,
    commit: Commit,
    show: Callable[[Letter], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Count:
    """Send letters again and `commit` how far each partition is done, and what was refused, once that is known.

    A partition is done up to the last letter that was sent: other terms may find what was passed over behind it.
    A replay that is killed sends up to a hundred again; a dry run sends and commits nothing. What the broker refuses
    for itself holds up nothing; where it would refuse the others too, the replay ends. Raises `KafkaFailed` at the
    end, which says all of it, if anything was refused.
    """
    count, done, waiting = Count(), dict[int, int](), 0
    for letter in letters:
        if obstacle := terms.obstacle(letter):
            count.passed_over[obstacle] = count.passed_over.get(obstacle, 0) + 1
        else:
            count.replayed += 1
            show(letter)
            if not terms.dry_run:
                _send(letter, sender)
                waiting += 1
                if terms.rate:
                    sleep(1 / terms.rate)
            done[letter.record.partition] = letter.record.offset + 1
        if waiting >= _BATCH:
            waiting = 0
            _settle(count, done, sender, commit)
            if count.hopeless:
                break
    if not terms.dry_run:
        _settle(count, done, sender, commit)
    if count.refusals:
        raise KafkaFailed(_told(count))
    return count


def _send(letter: Letter, sender: Sender) -> None:
    told = letter.told
    headers, timestamp = letter.revived()
    sender.send(letter.record, told["topic"], int(told["partition"]), headers, timestamp)


def _settle(count: Count, done: Mapping[int, int], sender: Sender, commit: Commit) -> None:
    refused = sender.settle()
    count.replayed -= len(refused)
    count.refusals += refused
    commit(done, [(each.partition, each.offset) for each in count.refusals])


def _told(count: Count) -> str:
    """Return what was found and what to do where records were refused."""

    def cause(each: Refused) -> tuple[str, str]:
        return each.topic, each.why

    found = []
    in_order = sorted(count.refusals, key=lambda each: (*cause(each), each.partition, each.offset))
    for (topic, why), group in groupby(in_order, cause):
        first, *others = group
        found.append(f"{len(others) + 1} to {topic}, first that of {first.partition}:{first.offset}: {why}")
    behind = " It stopped there: any letters behind were not tried." if count.hopeless else ""
    again = "The next replay with the same filter sends what was refused again"
    return f"{count}. {'. '.join(found)}.{behind} {again}"
