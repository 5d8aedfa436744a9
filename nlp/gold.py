"""Reads gold files: JSON lines with entities, or CoNLL columns with BIO, BMES or BIOES tags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any

from nlp.conll import read_conll
from nlp.errors import GoldError
from nlp.labels import gold_spans

_JSON = re.compile(r"""\s*(\{(?!\s+[^\s"'}])|\[\s*\{?\s*("|$))""")  # not a token of one bracket, and its tag
_ENTITIES = ("entities", "ents", "label")  # as here, in triples, as CLUENER and doccano have them
_LINE_END = re.compile(r"\r*\n|\r")  # some transfers write \r\r\n


@dataclass(frozen=True, slots=True)
class Gold:
    """A text and its entities as (start, end, type), offsets in code points, end exclusive."""

    text: str
    entities: frozenset[tuple[int, int, str]]


def read_gold(path: Path) -> list[Gold]:
    """Read a file, JSON lines if its first line that is not blank begins as JSON does, CoNLL otherwise.

    Raises `GoldError` naming the file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some editors write a byte-order mark
    except OSError as error:
        raise GoldError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GoldError(f"{path} cannot be read as UTF-8 text: {error}") from error
    lines = _LINE_END.split(text)
    first = next((line for line in lines if line.strip()), "")
    sentences = _json_lines(lines, path) if _JSON.match(first) else starmap(_from_tags, read_conll(lines, path))
    gold = list(sentences)
    if not gold:
        raise GoldError(f"{path} holds no sentences; expected JSON lines or CoNLL columns")
    return gold


def _json_lines(lines: list[str], path: Path) -> Iterator[Gold]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _from_json(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                why = getattr(error, "msg", error)  # a JSONDecodeError's own line is always 1
                raise GoldError(
                    f"{path}:{number}: {type(error).__name__}: {why}; expected JSON lines, each "
                    '{"text": "…", "entities": [{"start": 0, "end": 2, "type": "PER"}, …]}'
                ) from error


def _from_json(value: Any) -> Gold:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} in place of an object")
    key = next((key for key in _ENTITIES if key in value), None)
    if key is None or "text" not in value:
        raise ValueError(f"no {'entities' if 'text' in value else 'text'} among {', '.join(value) or 'no keys'}")
    text = value["text"]
    if not isinstance(text, str):
        raise TypeError(f"text is {type(text).__name__}")
    text.encode()  # raises for half of a surrogate pair
    found = set()
    for start, end, name, mention in (
        _from_dict(value[key]) if isinstance(value[key], dict) else map(_entity, value[key])
    ):
        if not (type(start) is type(end) is int and isinstance(name, str)):
            raise TypeError(f"an entity is {start!r} to {end!r}, of the type {name!r}")
        if not 0 <= start < end <= len(text):
            raise ValueError(f"entity [{start}, {end}) lies outside a text of {len(text)} characters")
        if mention not in (None, text[start:end]):
            raise ValueError(f"entity [{start}, {end}) is not its own text; offsets are code points, the end exclusive")
        found.add((start, end, name))
    return Gold(text, frozenset(found))


def _from_dict(entities: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Read entities as CLUENER writes them: by type and text, the end inclusive."""
    for name, mentions in entities.items():
        for mention, places in mentions.items():
            for start, end in places:
                yield start, end + 1, name, mention


def _entity(value: Any) -> tuple[Any, ...]:
    if isinstance(value, dict):
        return value["start"], value["end"], value["type"], value.get("text")
    start, end, name = value
    return start, end, name, None


def _from_tags(tokens: list[str], tags: list[str]) -> Gold:
    offsets = [0]
    for token in tokens:
        offsets.append(offsets[-1] + len(token))
    spans = frozenset((offsets[start], offsets[end], label) for start, end, label in gold_spans(tags))
    return Gold("".join(tokens), spans)
