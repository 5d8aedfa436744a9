"""Annotated lines, as JSON, as a table, or as text with the entities marked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from consumer.console import marked, out, plain

if TYPE_CHECKING:
    from consumer.offline import Line

_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}  # what some readers take for the end of a line


def line_writer(format: str | None) -> Callable[[Line], None]:
    """Return what writes a line: `jsonl`, `table` or `text`, by default what suits standard output."""
    chosen = format or ("text" if out().is_terminal else "jsonl")
    if chosen == "table":
        plain("line\tfield\tstart\tend\ttype\tscore\ttext")
    return {"jsonl": _json_line, "table": _rows, "text": _marked_line}[chosen]


def _json_line(line: Line) -> None:
    message = line.message
    told: dict[str, Any] = {} if message.id is None else {"id": message.id}
    told["text"] = message.texts if line.by_field else next(iter(message.texts.values()))
    sys.stdout.write(f'{_json(told)[:-1]}, "entities": [')
    for i, (_, entity) in enumerate(line.entities()):
        sys.stdout.write((", " if i else "") + _json(entity.members()))
    attributes = "" if message.attributes == "{}" else f', "attributes": {message.attributes}'
    plain(f"]{attributes.translate(_LINE_ENDS)}}}")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).translate(_LINE_ENDS)


def _rows(line: Line) -> None:
    for field, entity in line.entities():
        place = f"{line.number}\t{field}\t{entity.start}\t{entity.end}"
        plain(f"{place}\t{entity.type}\t{entity.score:.4f}\t{_json(entity.text)[1:-1]}")


def _marked_line(line: Line) -> None:
    for field, text in line.message.texts.items():
        out().print(marked(text, [(span.start, span.end, span.label) for span in line.spans[field]]))
