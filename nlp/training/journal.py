"""The log of a run, a JSON object a line, and the picture of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Entry = Mapping[str, Any]


class Journal:
    """Appends to `log.jsonl` in the directory of a run; a run that goes on takes back what it will do again."""

    def __init__(self, directory: Path, step: int) -> None:
        self._path = directory / "log.jsonl"
        self.entries: list[Entry] = [entry for entry in _read(self._path) if entry["step"] <= step]
        rewritten = self._path.with_suffix(".new")
        rewritten.write_text("".join(_line(entry) for entry in self.entries), "utf-8")
        rewritten.replace(self._path)

    def write(self, entry: Entry) -> None:
        """Add an entry; it has a `step`."""
        self.entries.append(entry)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(entry))

    def draw(self) -> None:
        """Draw the loss and the F1 on the dev sets over the epochs to `curve.png`, where matplotlib is installed."""
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError:
            return
        figure = Figure(figsize=(9, 4), layout="constrained")
        losses, scores = figure.subplots(1, 2)
        trained = [entry for entry in self.entries if "loss" in entry]
        losses.plot([entry["epoch"] for entry in trained], [entry["loss"] for entry in trained], color="#345", lw=1)
        losses.set(xlabel="epoch", ylabel="loss a character", yscale="log")
        measured = [entry for entry in self.entries if "f1" in entry]
        for name in measured[-1]["f1"] if measured else ():
            scores.plot([e["epoch"] for e in measured], [100 * e["f1"][name] for e in measured], "o-", ms=3, label=name)
        scores.set(xlabel="epoch", ylabel="F1 on the dev set")
        if measured:
            scores.legend(fontsize=8)
        figure.savefig(self._path.with_name("curve.png"), dpi=120)


def _read(path: Path) -> list[dict[str, Any]]:
    """Read the entries; a last line that was cut off by a kill is passed over."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def _line(entry: Entry) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
