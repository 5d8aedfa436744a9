"""Between records and messages: bytes to texts, spans to entities, outcomes to bytes. Pure functions, no Kafka."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from consumer.errors import Reason
from consumer.records import Outcome, Record
from nlp.types import Span
from schemas.exact import Member, NotJsonError, Number, read_object, write_object
from schemas.messages import AnnotatedMessage, Entity, Model, Processing, Source, record_id

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Format:
    """How records are read: `fields` is empty for plain text."""

    fields: tuple[str, ...]
    max_chars: int


@dataclass(frozen=True, slots=True)
class Message:
    """A record that can be worked on: its texts by field, its own id if it has one, and everything else as written."""

    record: Record
    texts: dict[str, str]
    id: str | int | None
    attributes: str

    @property
    def chars(self) -> int:
        """Characters in all its texts."""
        return sum(map(len, self.texts.values()))


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be worked on, and why. `error` quotes nothing of its text."""

    record: Record
    reason: Reason
    error: str


def decode(record: Record, format: Format) -> Message | Rejected:
    """Read a record that has a value."""
    assert record.value is not None, "a tombstone has nothing to decode"
    try:
        text = record.value.decode()
    except UnicodeDecodeError as error:
        return Rejected(record, Reason.NOT_UTF8, f"byte {error.start} of {len(record.value)}: {error.reason}")
    if not format.fields:
        return _checked(Message(record, {"text": text}, None, "{}"), format)
    try:
        members = read_object(text.removeprefix("\ufeff"))
    except NotJsonError as error:
        return Rejected(record, Reason.NOT_JSON, f"expected a JSON object: {error}")
    texts = {}
    for field in format.fields:
        member, members = _take(members, field)
        if member is None or member.value is None:
            continue
        if not isinstance(member.value, str):
            return Rejected(record, Reason.NOT_TEXT, f"field {field!r} holds {_kind(member.value)}; expected a string")
        texts[field] = member.value
    if not texts:
        return Rejected(record, Reason.NO_TEXT, f"no field {' or '.join(map(repr, format.fields))} with a string")
    identity = _identity(members.get("id"))
    if identity is not None:
        del members["id"]
    return _checked(Message(record, texts, identity, write_object(members)), format)


def encode(
    message: Message,
    spans: Sequence[Sequence[Span]],
    model: Model,
    processing: Processing,
    *,
    by_field: bool,
) -> Outcome:
    """Make the outcome of a message; `spans[i]` belongs to its i-th text. `by_field` where several may be annotated."""
    record = message.record
    entities = tuple(
        entity(text, span, field if by_field else None)
        for (field, text), its in zip(message.texts.items(), spans, strict=True)
        for span in its
    )
    name = record_id(record.topic, record.partition, record.offset, record.timestamp)
    annotated = AnnotatedMessage(
        record_id=name,
        id=name if message.id is None else message.id,
        source=Source(topic=record.topic, partition=record.partition, offset=record.offset, timestamp=record.timestamp),
        text=message.texts if by_field else next(iter(message.texts.values())),
        entities=entities,
        model=model,
        processing=processing,
        attributes=message.attributes,
    )
    return Outcome(record, annotated.to_json(), record.headers, entities=tuple(entity.type for entity in entities))


def tombstone(record: Record) -> Outcome:
    """Pass on a record without a value as one."""
    return Outcome(record, None, record.headers)


def entity(text: str, span: Span, field: str | None) -> Entity:
    """Map a span of the core to an entity of the wire; this is the one place that does."""
    place = f"{span.start}-{span.end}"
    return Entity(
        id=place if field is None else f"{field}:{place}",
        start=span.start,
        end=span.end,
        type=span.label,
        text=text[span.start : span.end],
        score=round(span.score, 6),
        field=field,
    )


def _checked(message: Message, format: Format) -> Message | Rejected:
    for field, text in message.texts.items():
        if len(text) > format.max_chars:
            error = f"{field} has {len(text):,} characters; the limit is {format.max_chars:,} (RANER_MAX_CHARS)"
            return Rejected(message.record, Reason.TOO_LONG, error)
        if not _is_unicode(text):
            error = f"field {field!r} holds half of a surrogate pair, which is no Unicode text"
            return Rejected(message.record, Reason.NOT_TEXT, error)
    return message


def _take(members: dict[str, Member], field: str) -> tuple[Member | None, dict[str, Member]]:
    """Take a field out, `a.b` being b of the object a unless there is a key `a.b`; return it and the members left."""
    if field in members:
        member = members[field]
        if member.value is None:
            return None, members
        return member, {name: m for name, m in members.items() if name != field}
    outer, dot, inner = field.partition(".")
    holder = members.get(outer)
    if not dot or holder is None or not isinstance(holder.value, dict):
        return None, members
    found, rest = _take(read_object(holder.raw_value), inner)
    if found is None:
        return None, members
    left = Member(holder.value, holder.raw_key, write_object(rest))
    return found, {name: left if name == outer else m for name, m in members.items()}


def _identity(member: Member | None) -> str | int | None:
    """Return an id that can be passed on exactly: a string of Unicode text, or a whole number of up to 18 digits."""
    match member:
        case Member(value=str(text)) if _is_unicode(text):
            return text
        case Member(value=Number(), raw_value=digits) if _WHOLE_NUMBER.fullmatch(digits):
            return int(digits)
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", bool: "a truth value", Number: "a number"}
    return names.get(type(value), "something else")
