"""The annotated message, version 1.0: what this worker promises to those who read its output topic."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic.dataclasses import dataclass

RawObject = Annotated[str, WithJsonSchema({"type": "object", "additionalProperties": True})]
"""A JSON object as it was written, never parsed and written again, so that nothing in it can change."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Source(_Part):
    """Where the record came from."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None = Field(description="Kafka's timestamp of the record, in milliseconds since 1970")


class OmittedText(_Part):
    """What is left of a text that was too large to be published again."""

    length: int = Field(description="its characters, counted in code points")
    sha256: str = Field(description="digest of its UTF-8 bytes")


@dataclass(frozen=True, slots=True, kw_only=True)  # a megabyte of text may hold tens of thousands: a model takes 1 KiB
class Entity:
    """A named entity in the text. Entities are in order and never overlap within a field."""

    id: str = Field(description="unique within the message, and the same whenever the same span is found in it")
    start: int = Field(description="first character, counted in code points from 0")
    end: int = Field(description="one past the last character")
    type: str = Field(description="the model's label, such as PER, LOC or ORG")
    text: str = Field(description="the characters from start to end")
    score: float = Field(ge=0, le=1, description="the model's probability of exactly this span and type")
    field: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="the field it is in; absent unless several are annotated",
    )

    def members(self) -> dict[str, Any]:
        """Return what its JSON object holds."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Model(_Part):
    """The model that found the entities."""

    name: str
    revision: str
    digest: str = Field(description="sha256 over the model's files")


class Processing(_Part):
    """How the message was worked."""

    windows: int = Field(description="pieces the text was read in")
    milliseconds: float = Field(description="from decoding to encoding, together with the records of its batch")
    worker_version: str


class AnnotatedMessage(_Part):
    """A message with its entities. The record's key, headers and timestamp are those of the input record."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    schema_version: Literal["1.0"] = "1.0"
    record_id: str = Field(description="digest of topic, partition, offset and timestamp: drop doubles by it")
    id: str | int = Field(description="the message's own id, else the record_id")
    source: Source
    text: str | dict[str, str] | None = Field(
        description="the text, or an object by field where several are annotated; null where it was too large"
    )
    text_omitted: OmittedText | dict[str, OmittedText] | None = Field(
        default=None, exclude_if=lambda value: value is None, description="what the text was, only where it is null"
    )
    part: int | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="from 1 on, only where the entities are split over several messages of one record_id",
    )
    parts: int | None = Field(
        default=None, exclude_if=lambda value: value is None, description="how many messages those are"
    )
    entities: tuple[Entity, ...] = ()
    offset_unit: Literal["code_point"] = "code_point"
    model: Model
    processing: Processing
    attributes: RawObject = Field(
        default="{}",
        description="every other field of the input, untouched; of several parts, in the first",
        json_schema_extra={"default": {}},  # as it is written
    )

    def to_json(self) -> bytes:
        """Return the message as UTF-8 JSON; the attributes are copied as they were written."""
        rest = _ADAPTER.dump_json(self, exclude={"attributes"})
        return b"".join((memoryview(rest)[:-1], b',"attributes":', self.attributes.encode(), b"}"))


_ADAPTER = TypeAdapter(AnnotatedMessage)  # writes bytes; the model's own method would make a string of them first


def record_id(topic: str, partition: int, offset: int, timestamp: int | None) -> str:
    """Return the digest that names a record: the same one for the same record, whoever works it and however often."""
    place = json.dumps([topic, partition, offset, timestamp], separators=(",", ":"))
    return hashlib.sha256(place.encode()).hexdigest()[:32]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the annotated message."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:raner-stream:annotated-message:1.0",
        **AnnotatedMessage.model_json_schema(mode="serialization"),
    }
