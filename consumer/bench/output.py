"""A measurement as files: JSON, Markdown and, where matplotlib is installed, pictures."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from consumer.bench.engines import Engines
from consumer.bench.note import Note


def write(directory: Path, name: str, measured: Note | Engines) -> list[Path]:
    """Write `name.json`, `name.md`, `name.png` and `name.svg`; return what was written."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = directory / name
    text = json.dumps(measured.json(), indent=1, ensure_ascii=False)
    stem.with_suffix(".json").write_text(f"{text}\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(measured.table().markdown(), encoding="utf-8")
    written = [".json", ".md"]
    if find_spec("matplotlib"):
        from consumer.bench import pictures

        if isinstance(measured, Note):
            pictures.draw_note(measured, stem)
        else:
            pictures.draw_engines(measured, stem)
        written += [".png", ".svg"]
    return [stem.with_suffix(suffix) for suffix in written]
