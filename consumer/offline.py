"""Annotates lines of a file without Kafka, in groups, so that memory does not follow the file's size."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from consumer import codec
from consumer.codec import Format, Message, Rejected
from consumer.errors import SettingsError
from consumer.records import Record
from nlp.annotator import Annotator
from nlp.types import Span
from schemas.messages import Entity

_GROUP_LINES = 64
_GROUP_BYTES = 64 * 1024
_NO_LIMIT = 2**62
_PLAIN = Format((), _NO_LIMIT)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A line, numbered from 1, read as a message or not; `by_field` where several fields may hold texts."""

    number: int
    item: Message | Rejected
    by_field: bool


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
    """Yield every line of a file annotated, in order, also empty ones; see `decode_lines`."""
    group: list[Decoded] = []
    size = 0
    for line in decode_lines(file, fields, format):
        group.append(line)
        size += len(line.item.record.value or b"")
        if len(group) >= _GROUP_LINES or size >= _GROUP_BYTES:
            yield from _annotated(group, annotator)
            group, size = [], 0
    yield from _annotated(group, annotator)


def decode_lines(file: IO[bytes], fields: Sequence[str], format: str) -> Iterator[Decoded]:
    """Yield every line of a file read as a message, in order; only a line feed ends a line.

    `format` is `text`, `jsonl`, or `auto`: JSON lines if the first line that is not blank begins an object. Blank
    lines between JSON lines are passed over.
    """
    reading: Format | None = None
    blank: list[tuple[int, bytes]] = []  # before it is known what they stand between
    for number, raw in enumerate(file, 1):
        value = raw.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            value = value.removeprefix(BOM_UTF8)  # some editors write one, and count from behind it
        if reading is None and format == "auto" and not value.strip():
            blank.append((number, value))
            continue
        if reading is None:
            is_json = format == "jsonl" or (format == "auto" and value.lstrip().startswith(b"{"))
            reading = Format(tuple(fields) if is_json else (), _NO_LIMIT)
            if not is_json:
                yield from _plain(blank)
        if reading.fields and not value.strip():
            continue
        yield Decoded(number, codec.decode(_record(number, value), reading), by_field=len(reading.fields) > 1)
    if reading is None:
        yield from _plain(blank)


def _plain(lines: Sequence[tuple[int, bytes]]) -> Iterator[Decoded]:
    for number, value in lines:
        yield Decoded(number, codec.decode(_record(number, value), _PLAIN), by_field=False)


def read_texts(file: IO[bytes], name: str, fields: Sequence[str], format: str) -> list[str]:
    """Return the texts of a file's lines that hold any; raise `SettingsError` for a line that cannot be read."""
    texts = []
    for line in decode_lines(file, fields, format):
        if isinstance(line.item, Rejected):
            raise SettingsError(f"{name}:{line.number}: {line.item.reason}: {line.item.error}")
        texts += [text for text in line.item.texts.values() if text]
    if not texts:
        raise SettingsError(f"{name} holds no text; expected a text a line, or JSON lines")
    return texts


def _annotated(group: Sequence[Decoded], annotator: Annotator) -> Iterator[Line | BadLine]:
    texts = [text for line in group if isinstance(line.item, Message) for text in line.item.texts.values()]
    spans = iter(annotator.annotate(texts))
    for line in group:
        if isinstance(line.item, Rejected):
            yield BadLine(line.number, f"{line.item.reason}: {line.item.error}")
        else:
            yield Line(line.number, line.item, {field: next(spans) for field in line.item.texts}, line.by_field)


def _record(number: int, value: bytes) -> Record:
    return Record("file", 0, number, None, None, value, ())
