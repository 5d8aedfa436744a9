"""A dead letter as it lies in its topic: what its headers tell, whether a filter wants it, and the record in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from consumer.errors import SettingsError
from consumer.letters import CONNECT, OWN, SPRING
from consumer.records import Headers, Record

ATTEMPTS = "raner.replay.attempts"
NAMES = ("reason", "stage", "error", "topic", "partition", "key", "attempts")


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, and where it lies."""

    record: Record

    @property
    def place(self) -> str:
        """Its partition and offset in the dead-letter topic."""
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def attempts(self) -> int:
        """How often its record was sent again."""
        told = self._header(ATTEMPTS)
        return int(told) if told.isdecimal() else 0

    @property
    def is_ours(self) -> bool:
        """Whether a worker wrote it."""
        return all(self.told[name] for name in ("reason", "topic", "partition", "offset"))

    @property
    def omitted(self) -> bool:
        """Whether its record's value was left out, because the broker did not take it."""
        try:
            body = json.loads(self.record.value or b"")
        except (ValueError, RecursionError):  # what a broken record holds, deep nesting too
            return False
        return isinstance(body, dict) and body.get("value_omitted") is True and {"length", "sha256"} <= body.keys()

    @property
    def told(self) -> dict[str, str]:
        """What is known of it, by the names that a filter uses, and `offset` and `timestamp`; nothing of its value."""
        source = {name: self._header(f"{OWN}source.{name}") for name in ("topic", "partition", "offset", "timestamp")}
        own = {name: self._header(OWN + name) for name in ("reason", "stage", "error")}
        key = (self.record.key or b"").decode("utf-8", "backslashreplace")
        return own | source | {"key": key, "attempts": str(self.attempts)}

    def revived(self) -> tuple[Headers, int | None]:
        """Return what its record is sent with again: its own headers and the count of attempts, and its timestamp."""
        ours = (OWN, CONNECT, SPRING)
        own = tuple((name, value) for name, value in self.record.headers if not name.startswith(ours))
        timestamp = self.told["timestamp"]
        return (*own, (ATTEMPTS, str(self.attempts + 1).encode())), int(timestamp) if timestamp else None

    def _header(self, name: str) -> str:
        # The last of a name is the worker's; those before it are the record's own.
        values = [value for header, value in self.record.headers if header == name]
        return (values[-1] or b"").decode("utf-8", "replace") if values else ""


def read_filter(pairs: Sequence[str]) -> Mapping[str, str]:
    """Read `NAME=PATTERN`s; raise `SettingsError` for what is none, or a name that comes twice."""
    wanted: dict[str, str] = {}
    for pair in pairs:
        name, separator, pattern = pair.partition("=")
        if not separator or name not in NAMES:
            raise SettingsError(f"--filter {pair!r}: expected NAME=PATTERN, with NAME one of {', '.join(NAMES)}")
        if name in wanted:
            raise SettingsError(f"--filter {pair!r}: {name}={wanted[name]} is given already; expected each name once")
        wanted[name] = pattern
    return wanted


def wants(wanted: Mapping[str, str], letter: Letter) -> bool:
    """Whether a letter matches all patterns."""
    told = letter.told
    return all(fnmatchcase(told[name], pattern) for name, pattern in wanted.items())
