"""Annotated messages over the broker's limit: the text is left out first, then the entities are split over parts.

Works on the bytes of a message, so that nothing has to be kept for the rare case; attributes stay as written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from consumer.records import Outcome
from schemas.exact import Member, NotJsonError, read_object, write_object

Policy = Literal["split", "omit-text", "dead-letter"]
_TIMES = 4  # so many times the limit the entities of a text may take, by which its memory stays bounded
_PARTS = ',"part":1000000,"parts":1000000'
_RESERVE_BYTES = 512  # what Kafka puts around a message


@dataclass(frozen=True, slots=True)
class Large:
    """What becomes of messages over `max_bytes`, which is what a message may have with its key and headers."""

    policy: Policy
    max_bytes: int

    @property
    def entity_bytes(self) -> int:
        """How many bytes of entities can be published at most."""
        return self.max_bytes * (_TIMES if self.policy == "split" else 1)

    def fitted(self, outcome: Outcome) -> Outcome:
        """Return an outcome that is small enough, or the same if there is none."""
        if outcome.value is None or outcome.reason is not None or len(outcome.value) <= self._room(outcome):
            return outcome
        return self._within(outcome, self._room(outcome)) or outcome

    def smaller(self, outcome: Outcome) -> Outcome | None:
        """Return the next smaller form of an outcome that the broker found too large, None if there is none."""
        if outcome.value is None or outcome.reason is not None:
            return None
        largest = max(len(value) for value in (outcome.value, *outcome.parts))
        return self._within(outcome, largest // 2 if _is_omitted(outcome.value) else largest - 1)

    def _within(self, outcome: Outcome, room: int) -> Outcome | None:
        if self.policy == "dead-letter" or outcome.value is None:
            return None
        values = shrunk((outcome.value, *outcome.parts), room, split=self.policy == "split")
        return replace(outcome, value=values[0], parts=values[1:]) if values else None

    def _room(self, outcome: Outcome) -> int:
        headers = sum(len(name) + len(value or b"") for name, value in outcome.headers)
        return self.max_bytes - len(outcome.record.key or b"") - headers - _RESERVE_BYTES


def shrunk(values: Sequence[bytes], room: int, *, split: bool) -> tuple[bytes, ...]:
    """Return a message, whole or in parts, without its text, in messages of at most `room` bytes; none if it cannot be.

    The first part has the attributes; each has the same `record_id`. Attributes that could just be read stand one level
    deeper here, and may be nested too deeply.
    """
    try:
        parts = [read_object(value.decode()) for value in values]
    except NotJsonError:
        return ()
    head = _without_text(parts[0])
    entities = [_written(entity) for part in parts for entity in json.loads(part["entities"].raw_value)]
    whole = _assembled(head, entities)
    if len(whole) <= room:
        return (whole,)
    if not split:
        return ()
    shares = list(_shares(head, entities, room - len(_PARTS)))
    made = []
    for i, share in enumerate(shares):
        numbers = {"part": _member("part", str(i + 1)), "parts": _member("parts", str(len(shares)))}
        made.append(_assembled((_bare(head) if i else head) | numbers, share))
    return tuple(made)


def _shares(head: dict[str, Member], entities: Sequence[str], room: int) -> Iterator[list[str]]:
    """Yield the entities of each part; nothing if one of them, or what goes with the first, is too large by itself."""
    first = len(_assembled(head, ()))
    other = len(_assembled(_bare(head), ()))
    sizes = [len(entity.encode()) + 1 for entity in entities]
    if first > room or any(other + size > room for size in sizes):
        return
    share: list[str] = []
    used = first
    for entity, size in zip(entities, sizes, strict=True):
        if used + size > room:
            yield share
            share, used = [], other
        share.append(entity)
        used += size
    yield share


def _bare(head: dict[str, Member]) -> dict[str, Member]:
    return head | {"attributes": _member("attributes", "{}")}


def _without_text(members: dict[str, Member]) -> dict[str, Member]:
    """Return members with what the text was in its place; it may have been left out before."""
    text = members["text"].value
    if text is None:
        return members
    if isinstance(text, dict):
        told = {field: _digest(each) for field, each in json.loads(members["text"].raw_value).items()}
    else:
        told = _digest(text)
    changed = {"text": _member("text", "null"), "text_omitted": _member("text_omitted", _written(told))}
    head: dict[str, Member] = {}
    for name, member in members.items():
        head |= changed if name == "text" else {name: member}
    return head


def _digest(text: str) -> dict[str, Any]:
    return {"length": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _assembled(members: dict[str, Member], entities: Sequence[str]) -> bytes:
    return write_object(members | {"entities": _member("entities", f"[{','.join(entities)}]")}).encode()


def _member(name: str, raw: str) -> Member:
    return Member(None, json.dumps(name), raw)


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _is_omitted(value: bytes) -> bool:
    try:
        return "text_omitted" in read_object(value.decode())
    except NotJsonError:
        return False
