"""The measurements as pictures: horizontal bars with their figures beside them, this project's in blue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumer.bench.engines import Engines
from consumer.bench.note import MIB, Note

OURS, OTHERS, CEILING, INK, FAINT = "#0b6fb8", "#b4bcc6", "#d55e00", "#1f2933", "#6b7682"  # safe for colour-blind eyes
_WIDTH, _ROW, _ABOVE, _MARGIN, _GAP, _LETTER = 9.0, 0.31, 0.92, 0.14, 0.25, 0.083  # inches
_BAR = 0.66  # of its row
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
        ("short", "Characters / CPU-second", "more is better", 1.0, "{:,.0f}"),
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
    _draw("What each technique does to inference", labels, panels, _footer(note), stem)


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
        panels.append(Panel(f"{tokens} tokens", "more is better", bars))
    labels = [(name, name.startswith("ct2")) for name in names]
    told = "Orange: what this machine's fastest matrix products would allow. Each engine at its best batch size."
    footer = f"{told}\n{_footer(engines)}"
    _draw("Tokens per CPU-second, and the share of the ceiling", labels, panels, footer, stem)


def _footer(measured: Note | Engines) -> str:
    machine, repeats = measured.machine, measured.repeats
    threads = f"{machine.threads} thread{'s' if machine.threads > 1 else ''}"
    processes = f"median of {repeats} processes" if repeats > 1 else "one process each"
    return f"Model: {measured.model}. {machine.cpu}, {threads}; {processes}."


def _draw(title: str, labels: Sequence[tuple[str, bool]], panels: Sequence[Panel], footer: str, stem: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        rows, below = _ROW * len(labels), 0.22 + 0.15 * (footer.count("\n") + 1)
        height = _ABOVE + rows + below
        figure = Figure(figsize=(_WIDTH, height))
        left = 0.3 + 0.9 * _LETTER * max(len(name) for name, _ in labels)
        width = (_WIDTH - left - _MARGIN - _GAP * (len(panels) - 1)) / len(panels)
        for number, panel in enumerate(panels):
            x = left + number * (width + _GAP)
            _panel(figure.add_axes((x / _WIDTH, below / height, width / _WIDTH, rows / height)), panel, width)
            figure.text(x / _WIDTH, (below + rows + 0.24) / height, panel.title, fontweight="bold")
            figure.text(x / _WIDTH, (below + rows + 0.08) / height, panel.hint, fontsize=7.5, color=FAINT)
        for number, (name, ours) in enumerate(labels):
            y = below + _ROW * (len(labels) - number - 0.5)
            weight = "bold" if ours else "normal"
            figure.text((left - 0.1) / _WIDTH, y / height, name, ha="right", va="center_baseline", fontweight=weight)
        figure.text(_MARGIN / _WIDTH, 1 - 0.14 / height, title, fontsize=13, fontweight="bold", va="top")
        figure.text(_MARGIN / _WIDTH, 0.1 / height, footer, fontsize=7.5, color=FAINT, va="bottom", linespacing=1.4)
        figure.savefig(stem.with_suffix(".png"), dpi=200, facecolor="white", metadata={"Software": None})
        figure.savefig(stem.with_suffix(".svg"), facecolor="white", metadata={"Date": None, "Creator": None})


def _panel(axes: Any, panel: Panel, width: float) -> None:
    rows = range(len(panel.bars))
    longest = max(max(bar.value, bar.mark or 0.0) for bar in panel.bars) or 1.0
    room = 0.12 + _LETTER * max(len(bar.text) for bar in panel.bars)  # inches behind the longest bar
    axes.barh(rows, [bar.value for bar in panel.bars], _BAR, color=[OURS if bar.ours else OTHERS for bar in panel.bars])
    for row, bar in zip(rows, panel.bars, strict=True):
        end = max(bar.value, bar.mark or 0.0) + 0.06 * longest / (width - room)
        style = {"color": INK, "fontweight": "bold" if bar.ours else "normal"} if bar.text else {"color": FAINT}
        axes.text(end, row, bar.text or bar.note, va="center_baseline", **style)
        if bar.mark is not None:
            axes.plot((bar.mark, bar.mark), (row - _BAR / 2, row + _BAR / 2), color=CEILING, linewidth=1.6)
    axes.set_xlim(0, longest * width / (width - room))
    axes.set_ylim(len(panel.bars) - 0.5, -0.5)
    axes.set_axis_off()
