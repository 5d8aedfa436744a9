"""Reads CoNLL columns: a token and its BIO, BMES or BIOES tag a line, and a blank line between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlp.errors import GoldError, LabelError
from nlp.labels import split_tag

_LEAST_COUNTED = 3
"""Columns of a file whose first counts the tokens."""

_PLACED = re.compile(r"(.?)[0-9]{1,2}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How many columns a file has, which are the token and the tag, and whether a token ends in its place in a word."""

    width: int
    token: int
    tag: int
    placed: bool


def read_conll(lines: Sequence[str], path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the tokens and tags of every sentence; raise `GoldError` for a line that does not fit the others.

    Tags stand in the last column that has tags in every line. Tokens stand in the first, or in the second if the first
    counts them (1, 2, …), as in CoNLL-U. Where every token is a character and its place in a word (他0), as the Weibo
    corpus has them, it is the character. A line that begins with # and does not fit is a comment.
    """
    layout = _layout(lines)
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if columns := _columns(line):
            try:
                token, tag = _cells(columns, layout)
            except LabelError as error:
                if line.startswith("#"):
                    continue
                raise GoldError(f"{path}:{number}: {error}") from error
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            yield tokens, tags
            tokens, tags = [], []


def _columns(line: str) -> list[str]:
    """Split a line at its tabs, or else at its spaces: other blanks may be tokens. A blank line has no columns."""
    if not line.strip():
        return []
    if "\t" in line:
        columns = [column.strip(" ") or column for column in re.split(r"\t+", line.rstrip(" \t"))]
        return columns if columns[0] else ["\t", *columns[1:]]
    columns = line.strip(" ").split(" ")
    columns = [column for column in columns if column]
    return [" ", *columns] if len(columns) == 1 and line[0] == " " else columns


def _layout(lines: Sequence[str]) -> _Layout:
    """Find out the layout of a file, by all lines but those that begin with #."""
    width = place = 0
    tagged: set[int] = set()
    counted = placed = True
    for line in lines:
        columns = _columns(line)
        if not columns:
            place = 0
        elif not line.startswith("#"):
            if not width:
                width = len(columns)
                tagged = set(range(1, width))
            place += 1
            tagged = {column for column in tagged if column < len(columns) and _is_tag(columns[column])}
            counted = counted and columns[0] == str(place)
            placed = placed and _PLACED.fullmatch(columns[0]) is not None
    counted = counted and width >= _LEAST_COUNTED
    return _Layout(width, int(counted), max(tagged, default=width - 1), placed and not counted)


def _cells(columns: Sequence[str], layout: _Layout) -> tuple[str, str]:
    """Return the token and the tag of a line; raise `LabelError` where it has none."""
    if len(columns) == 1:
        raise LabelError("one column alone; expected a token and its tag, with a tab or a space between")
    if len(columns) != layout.width:
        raise LabelError(
            f"{len(columns)} columns; expected {layout.width}, as in the first line; a token that holds spaces needs "
            "tabs beside it"
        )
    token, tag = columns[layout.token], columns[layout.tag]
    _check_tag(tag)
    place = _PLACED.fullmatch(token) if layout.placed else None
    return (place[1] or " ") if place else token, tag


def _check_tag(value: str) -> None:
    split_tag(value)
    if " " in value:
        raise LabelError(f"{value!r} are several tags; expected a token and its tag in each line")


def _is_tag(value: str) -> bool:
    try:
        _check_tag(value)
    except LabelError:
        return False
    return True
