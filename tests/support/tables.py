"""The generated tables of the documentation. `python tests/support/tables.py` writes them into their pages."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from consumer.metrics import Metrics
from consumer.settings import fields, flag, unit, variable

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "nlp" / "README.md")
MEASURED = ROOT / "deploy" / "bench"


def settings_table() -> str:
    """Return every setting: its flag, its variable, its default, its unit, and what it is for."""
    rows = ["| flag | variable | default | unit | |", "|---|---|---|---|---|"]
    for name, field in fields():
        default = "" if field.is_required() or field.default_factory else _shown(field.default)
        key = "`RANER_KAFKA_<PROPERTY>`" if name == "kafka" else f"`{variable(name)}`"
        help_ = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{flag(name)}` | {key} | {default} | {unit(field)} | {help_} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """Return every metric: its name, type and labels, and what it counts."""
    rows = ["| metric | type | labels | |", "|---|---|---|---|"]
    rows += [f"| `{row.name}` | {row.type} | {', '.join(row.labels)} | {row.help} |" for row in Metrics().rows()]
    return "\n".join(rows)


def measured(name: str) -> str:
    """Return a table as `raner-stream bench … --output` wrote it."""
    return (MEASURED / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")


TABLES = {
    "settings": settings_table,
    "metrics": metrics_table,
    "note": partial(measured, "base/note"),
    "note-trained": partial(measured, "trained/note"),
    "engines": partial(measured, "base/engines"),
}


def with_tables(text: str) -> str:
    """Return a page with its tables brought up to date, each between its two marks."""
    for name, table in TABLES.items():
        marks = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
        text = re.sub(marks, lambda match, table=table: f"{match[1]}{table()}\n{match[2]}", text, flags=re.DOTALL)
    return text


def _shown(default: object) -> str:
    if default in (None, {}):
        return ""
    return f"`{','.join(default) if isinstance(default, tuple) else default}`"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
