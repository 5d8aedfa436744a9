"""Annotates lines of a file without Kafka, in groups, so that memory does not follow the file's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from consumer import codec
from consumer.codec import Format, Message, Rejected
from consumer.records import Record
from nlp.annotator import Annotator
from nlp.types import Span
from schemas.messages import Entity

_GROUP_LINES = 64
_GROUP_BYTES = 64 * 1024
_NO_LIMIT = 2**62
_PLAIN = Format((), _NO_LIMIT)


@dataclass(frozen=True, slots=True)
class Line:
    """A line, numbered from 1, with the spans of each of its fields; `by_field` where several may be annotated."""

    number: int
    message: Message
    spans: dict[str, list[Span]]
    by_field: bool

    def entities(self) -> Iterator[tuple[str, Entity]]:
        """Yield (field, entity), made one at a time: a line of a megabyte may hold tens of thousands."""
        for field, text in self.message.texts.items():
            for span in self.spans[field]:
                yield field, codec.entity(text, span, field if self.by_field else None)


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read, and why."""

    number: int
    error: str


def annotate_lines(
    file: IO[bytes], annotator: Annotator, fields: Sequence[str], format: str
) -> Iterator[Line | BadLine]:
    """Yield every line of a file annotated, in order, also empty ones; only a line feed ends a line.

    `format` is `text`, `jsonl`, or `auto`: JSON lines if the first line that is not blank begins an object. Blank
    lines between JSON lines are passed over.
    """
    reading: Format | None = None
    group: list[tuple[int, Message | Rejected]] = []
    size = 0
    for number, raw in enumerate(file, 1):
        value = raw.removesuffix(b"\n").removesuffix(b"\r")
        if reading is None and (format != "auto" or value.strip()):
            is_json = format == "jsonl" or (format == "auto" and value.lstrip().startswith(b"{"))
            reading = Format(tuple(fields) if is_json else (), _NO_LIMIT)
        if reading and reading.fields and not value.strip():
            continue
        group.append((number, codec.decode(_record(number, value), reading or _PLAIN)))
        size += len(value)
        if len(group) >= _GROUP_LINES or size >= _GROUP_BYTES:
            yield from _annotated(group, annotator, reading or _PLAIN)
            group, size = [], 0
    yield from _annotated(group, annotator, reading or _PLAIN)


def _annotated(
    group: Sequence[tuple[int, Message | Rejected]], annotator: Annotator, reading: Format
) -> Iterator[Line | BadLine]:
    by_field = len(reading.fields) > 1
    texts = [text for _, item in group if isinstance(item, Message) for text in item.texts.values()]
    spans = iter(annotator.annotate(texts))
    for number, item in group:
        if isinstance(item, Rejected):
            yield BadLine(number, f"{item.reason}: {item.error}")
        else:
            yield Line(number, item, {field: next(spans) for field in item.texts}, by_field)


def _record(number: int, value: bytes) -> Record:
    return Record("file", 0, number, None, None, value, ())
