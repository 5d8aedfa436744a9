"""The measurements as pictures: horizontal bars with their figures beside them, this project's in blue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumer.bench.engines import Engines
from consumer.bench.note import MIB, Note
from consumer.errors import BenchFailed

OURS, OTHERS, CEILING, INK, FAINT = "#0b6fb8", "#b4bcc6", "#d55e00", "#1f2933", "#6b7682"  # safe for colour-blind eyes
_WIDTH, _ROW, _BAR = 9.0, 0.34, 0.62  # inches; the bar's share of its row
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "raner-stream",  # equal figures, equal files
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with what is written behind it; `mark` is a line to compare it with, `note` stands where no bar is."""

    value: float = 0.0
    text: str = ""
    ours: bool = False
    mark: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A heading, how to read it, and a bar for every row."""

    title: str
    hint: str
    bars: Sequence[Bar]


def draw_note(note: Note, stem: Path) -> None:
    """Write the note's picture as `stem.png` and `stem.svg`."""
    columns = (
        ("peak_bytes", "Peak memory, MiB", "less is better", MIB, "{:,.0f}"),
        ("first_seconds", "Start to first result, s", "less is better", 1.0, "{:.1f}"),
        ("short", "Characters per CPU-second", "more is better", 1.0, "{:,.0f}"),
    )
    panels = []
    for name, title, hint, unit, shape in columns:
        bars = [
            Bar(note=row.problem.partition(":")[0])
            if row.problem
            else Bar(row.figures[name].median / unit, shape.format(row.figures[name].median / unit), row.ours)
            for row in note.rows
        ]
        panels.append(Panel(title, hint, bars))
    labels = [(row.name, row.ours) for row in note.rows]
    footer = f"{note.model}; {_machine(note)}. Median of {note.repeats} processes each."
    _draw("What each technique does to inference", labels, panels, footer, stem)


def draw_engines(engines: Engines, stem: Path) -> None:
    """Write the engines' picture as `stem.png` and `stem.svg`: a panel a length, each engine at its best batch size."""
    names = list(dict.fromkeys(row.engine for row in engines.rows))
    panels = []
    for tokens in dict.fromkeys(row.tokens for row in engines.rows):
        bars = []
        for name in names:
            row = next(row for row in engines.rows if (row.engine, row.tokens) == (name, tokens))
            if row.problem:
                bars.append(Bar(note=row.problem.partition(":")[0]))
                continue
            rate, best = max((figure.median, batch) for batch, figure in row.rates.items())
            share = engines.share(row, best)
            text = f"{rate:,.0f}" + ("" if share is None else f" · {share:.0%}")
            bars.append(Bar(rate, text, name.startswith("ct2"), None if share is None else rate / share))
        panels.append(Panel(f"{tokens} tokens", "", bars))
    labels = [(name, name.startswith("ct2")) for name in names]
    footer = (
        "The line is what this machine's fastest matrix products would allow. "
        f"{engines.model}; {_machine(engines)}. Median of {engines.repeats} processes each, at the best batch size."
    )
    _draw("Tokens per CPU-second, and the share of the ceiling", labels, panels, footer, stem)


def _machine(measured: Note | Engines) -> str:
    machine = measured.machine
    return f"{machine.cpu}, {machine.threads} thread{'s' if machine.threads > 1 else ''}"


def _draw(title: str, labels: Sequence[tuple[str, bool]], panels: Sequence[Panel], footer: str, stem: Path) -> None:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BenchFailed(f"a picture needs {error.name}: pip install 'raner-stream[bench]'") from error
    with mpl.rc_context(_STYLE):
        height = 1.25 + _ROW * len(labels)
        figure = Figure(figsize=(_WIDTH, height))
        left = 0.03 + 0.0075 * max(len(name) for name, _ in labels)
        gap = 0.035
        share = (1 - left - 0.015 - gap * (len(panels) - 1)) / len(panels)
        for number, panel in enumerate(panels):
            box = (left + number * (share + gap), 0.42 / height, share, _ROW * len(labels) / height)
            _panel(figure.add_axes(box), panel)
        for number, (name, ours) in enumerate(labels):
            y = (0.42 + _ROW * (len(labels) - number - 0.5)) / height
            weight = "bold" if ours else "normal"
            figure.text(left - 0.012, y, name, ha="right", va="center_baseline", fontweight=weight)
        figure.text(0.015, 1 - 0.12 / height, title, fontsize=13, fontweight="bold", va="top")
        figure.text(0.015, 0.1 / height, footer, fontsize=7.5, color=FAINT, va="bottom")
        figure.savefig(stem.with_suffix(".png"), dpi=200, facecolor="white", metadata={"Software": None})
        figure.savefig(stem.with_suffix(".svg"), facecolor="white", metadata={"Date": None, "Creator": None})


def _panel(axes: Any, panel: Panel) -> None:
    rows = range(len(panel.bars))
    longest = max([bar.mark or bar.value for bar in panel.bars] + [bar.value for bar in panel.bars]) or 1.0
    axes.barh(rows, [bar.value for bar in panel.bars], _BAR, color=[OURS if bar.ours else OTHERS for bar in panel.bars])
    for row, bar in zip(rows, panel.bars, strict=True):
        weight = "bold" if bar.ours else "normal"
        end = max(bar.value, bar.mark or 0) + 0.02 * longest
        axes.text(
            end, row, bar.text or bar.note, va="center_baseline", fontweight=weight, color=INK if bar.text else FAINT
        )
        if bar.mark is not None:
            axes.plot((bar.mark, bar.mark), (row - 0.4, row + 0.4), color=CEILING, linewidth=1.6)
    axes.set_xlim(0, longest * 1.42)  # room for what is written behind the longest bar
    axes.set_ylim(len(panel.bars) - 0.5, -0.5)
    axes.set_axis_off()
    axes.text(0, -0.62, panel.title, fontweight="bold", va="bottom")
    if panel.hint:
        axes.text(0, -0.62, panel.hint, fontsize=7.5, color=FAINT, va="top")
