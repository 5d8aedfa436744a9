"""Reads JSON objects without changing anything in them: members keep the very characters they came in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn


class NotJsonError(ValueError):
    """The input is no JSON object, or one that a reader could take in two ways."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object: its value as Python sees it, and its key and value as they were written.

    The value of an object is an empty one, and of a number `NUMBER`: they are kept as written, and not built.
    """

    value: Any
    raw_key: str
    raw_value: str


class Number:
    """The kind of `NUMBER`, which every number is read as."""


NUMBER = Number()
_NESTED: dict[str, Any] = {}  # what every object inside of a value is read as


def read_object(text: str) -> dict[str, Member]:
    """Read a JSON object's members; raise `NotJsonError` for anything else, for NaN, and for a key that occurs twice.

    Numbers may have any size and precision: they are kept as written and never converted.
    """
    try:
        reader = _Reader(text)
        members = reader.members()
    except RecursionError as error:
        raise NotJsonError("values are nested too deeply") from error
    except ValueError as error:
        raise NotJsonError(str(error)) from error
    return members


def write_object(members: dict[str, Member]) -> str:
    """Write an object from members, each as it was read."""
    return "{" + ",".join(f"{m.raw_key}:{m.raw_value}" for m in members.values()) + "}"


class _Reader:
    """Walks one object, leaving its values to the standard decoder."""

    _BLANKS = " \t\n\r"

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._decode = json.JSONDecoder(
            object_pairs_hook=_unique,
            parse_float=lambda _: NUMBER,
            parse_int=lambda _: NUMBER,
            parse_constant=_no_constant,
        ).raw_decode

    def members(self) -> dict[str, Member]:
        self._expect("{")
        members: dict[str, Member] = {}
        while self._peek() != "}":
            if members:
                self._expect(",")
            key, raw_key = self._value()
            if not isinstance(key, str):
                raise ValueError(f"a key at character {self._at} is no string")
            self._expect(":")
            value, raw_value = self._value()
            if key in members:
                raise ValueError(f"a key occurs twice, at character {self._at}")
            members[key] = Member(value, raw_key, raw_value)
        self._expect("}")
        if self._peek():
            raise ValueError(f"more follows the object, at character {self._at}")
        return members

    def _value(self) -> tuple[Any, str]:
        self._peek()
        start = self._at
        value, self._at = self._decode(self._text, start)
        return value, self._text[start : self._at]

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise ValueError(f"expected {character!r} at character {self._at}")
        self._at += 1

    def _peek(self) -> str:
        while self._text[self._at : self._at + 1] in self._BLANKS and self._at < len(self._text):
            self._at += 1
        return self._text[self._at : self._at + 1]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key occurs twice in a nested object")
    return _NESTED


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
