"""Figures with their spread, and tables of them for a console and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from unicodedata import east_asian_width


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of what the repeats gave, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Summarise the values of the repeats, at least one."""
        return cls(median(values), min(values), max(values))

    @property
    def spread(self) -> float:
        """How far the farthest repeat lies from the median."""
        return max(self.median - self.low, self.high - self.median)

    def scaled(self, unit: float) -> Figure:
        """Return the same in another unit."""
        return Figure(self.median / unit, self.low / unit, self.high / unit)

    def shown(self, digits: int = 0) -> str:
        """Return `1,234 ± 5`, or `1,234` alone where there is no spread, as of a single run."""
        return f"{self.median:,.{digits}f}" + (f" ± {self.spread:,.{digits}f}" if self.spread else "")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under headings, what has to be said about them, and the machine that they hold for."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]

    def markdown(self) -> str:
        """Return the table in Markdown, its columns aligned, the remarks as a list below."""
        lines = [self.columns, *self.rows]
        widths = [max(_width(line[i]) for line in lines) for i in range(len(self.columns))]
        rule = [("-" * width if i == 0 else "-" * (width - 1) + ":") for i, width in enumerate(widths)]
        shown = [
            "| " + " | ".join(_padded(cell, width, left=i == 0) for i, (cell, width) in enumerate(cells)) + " |"
            for cells in (list(zip(line, widths, strict=True)) for line in (self.columns, rule, *self.rows))
        ]
        return "\n".join([*shown, "", *(f"- {remark}" for remark in self.remarks)]) + "\n"


def _width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int, *, left: bool) -> str:
    blanks = " " * (width - _width(text))
    return text + blanks if left else blanks + text
