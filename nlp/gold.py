"""Reads gold files: JSON lines with entities, or CoNLL columns with BIO, BMES or BIOES tags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp.errors import GoldError, LabelError
from nlp.labels import gold_spans, split_tag

_JSON = re.compile(r"""\s*(\{(?!\s+[^\s"'}])|\[\s*\{?\s*("|$))""")  # not a token of one bracket, and its tag
_BORDER = re.compile(r"[ \t]+")  # other blanks may be tokens


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
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # some editors write a byte-order mark
    except (OSError, UnicodeDecodeError) as error:
        raise GoldError(f"{path} cannot be read as UTF-8 text: {error}") from error
    first = next((line for line in lines if line.strip()), "")
    gold = list(_json_lines(lines, path) if _JSON.match(first) else _conll(lines, path))
    if not gold:
        raise GoldError(f"{path} holds no sentences; expected JSON lines or CoNLL columns")
    return gold


def _json_lines(lines: list[str], path: Path) -> Iterator[Gold]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _from_json(json.loads(line))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise GoldError(
                    f"{path}:{number}: {type(error).__name__}: {error}; expected JSON lines, each "
                    '{"text": "…", "entities": [{"start": 0, "end": 2, "type": "PER"}, …]}'
                ) from error


def _from_json(value: Any) -> Gold:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} in place of an object")
    text, entities = value["text"], value["ents" if "ents" in value else "entities"]
    if not isinstance(text, str):
        raise TypeError(f"text is {type(text).__name__}")
    found = frozenset((e["start"], e["end"], e["type"]) if isinstance(e, dict) else _triple(e) for e in entities)
    for start, end, name in found:
        if not (type(start) is type(end) is int and isinstance(name, str)):
            raise TypeError(f"an entity is {start!r} to {end!r}, of the type {name!r}")
        if not 0 <= start < end <= len(text):
            raise ValueError(f"entity [{start}, {end}) lies outside a text of {len(text)} characters")
    return Gold(text, found)


def _triple(value: Any) -> tuple[int, int, str]:
    start, end, name = value
    return start, end, name


def _conll(lines: list[str], path: Path) -> Iterator[Gold]:
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            columns = _BORDER.split(line.strip(" \t"))
            # A line of one column is a tag whose character is a blank that was taken for a border.
            token, tag = (columns[0], columns[-1]) if len(columns) > 1 else (line[0], columns[0])
            try:
                if not (len(columns) > 1 or line[0] in " \t"):
                    raise LabelError("one column alone; expected a character and its tag, with a space or tab between")
                split_tag(tag)
            except LabelError as error:
                if columns[0].startswith("#"):
                    continue  # a comment
                raise GoldError(f"{path}:{number}: {error}") from error
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            yield _from_tags(tokens, tags)
            tokens, tags = [], []


def _from_tags(tokens: list[str], tags: list[str]) -> Gold:
    offsets = [0]
    for token in tokens:
        offsets.append(offsets[-1] + len(token))
    spans = frozenset((offsets[start], offsets[end], label) for start, end, label in gold_spans(tags))
    return Gold("".join(tokens), spans)
