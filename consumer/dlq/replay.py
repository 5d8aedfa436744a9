"""Goes through the dead letters and sends again what can be; each record only so often."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from consumer.dlq.letter import Letter, wants
from consumer.records import Headers, Record
from consumer.settings import Settings

_BATCH = 100


class Sender(Protocol):
    """Where records go again."""

    def send(self, record: Record, topic: str, partition: int, headers: Headers, timestamp: int | None) -> None:
        """Queue a record's key and value."""
        ...

    def settle(self) -> int:
        """Wait until everything is acknowledged, and return how many were refused."""
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
        return "" if self._reads(letter.told["topic"]) else "other_topic"

    def _reads(self, topic: str) -> bool:
        if self.input_topic.startswith("^"):
            return re.match(self.input_topic, topic) is not None
        return topic == self.input_topic


@dataclass
class Count:
    """What became of the letters: sent again, refused by the broker, passed over and why."""

    replayed: int = 0
    refused: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)


def terms(settings: Settings, wanted: Mapping[str, str], max_attempts: int, rate: float | None, dry_run: bool) -> Terms:
    """Return the terms of a worker's settings."""
    return Terms(settings.input_topic, wanted, max_attempts, rate, dry_run)


def replay(
    letters: Iterable[Letter],
    terms: Terms,
    sender: Sender,
    commit: Callable[[Mapping[int, int]], None],
    show: Callable[[Letter], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Count:
    """Send letters again and `commit` how far each partition is done, once it is acknowledged.

    A replay that is killed sends up to a hundred again; a dry run sends and commits nothing.
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
            count.refused, waiting = count.refused + sender.settle(), 0
            commit(done)
    if not terms.dry_run:
        count.refused += sender.settle()
        commit(done)
    count.replayed -= count.refused
    return count


def _send(letter: Letter, sender: Sender) -> None:
    told = letter.told
    headers, timestamp = letter.revived()
    sender.send(letter.record, told["topic"], int(told["partition"]), headers, timestamp)
