"""The messages that the demo feeds: those in messages.jsonl, and a handful that cannot be processed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

MESSAGES = Path(__file__).parent / "messages.jsonl"
MAX_CHARS = 20_000  # what the demo's worker takes, so that one message is too long for it

_BROKEN = (
    "今天上海下雨".encode("gb18030"),
    b'{"id": "broken-2", "text": "\xe5\xbc\xa0\xe4\xb8\x89',
    b'["text", "in an array"]',
    b'{"id": "broken-4", "title": "no text here"}',
    b'{"id": "broken-5", "text": 42}',
    b'{"id": "broken-6", "text": "a", "text": "b"}',
    b'{"id": "broken-7", "text": "a", "score": NaN}',
    json.dumps({"id": "broken-8", "text": "长" * (MAX_CHARS + 1)}).encode(),
)
_EVERY = 40  # messages between two broken ones


@dataclass(frozen=True, slots=True)
class FeedMessage:
    """A message to produce; `chars` counts its text where it has one."""

    key: bytes
    value: bytes
    chars: int


def messages(count: int | None = None) -> Iterator[FeedMessage]:
    """Yield the feed once, or repeated or cut to `count` messages."""
    feed = tuple(_mixed())
    return islice(cycle(feed), len(feed) if count is None else count)


def _mixed() -> Iterator[FeedMessage]:
    broken = iter(_BROKEN)
    for number, line in enumerate(MESSAGES.read_text(encoding="utf-8").removesuffix("\n").split("\n"), 1):
        message = json.loads(line)
        yield FeedMessage(message["author"].encode(), line.encode(), len(message["text"]))
        if number % _EVERY == 0 and (value := next(broken, None)):
            yield FeedMessage(b"broken", value, 0)
    for value in broken:
        yield FeedMessage(b"broken", value, 0)
