"""Everything a person reads. The only module that prints.

A worker prints nothing, so rich is imported where something is shown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from consumer.given import masked, shown
from consumer.settings import Loaded, flag

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table
    from rich.text import Text

    from consumer.bench import figures
    from consumer.demo.run import Summary
    from consumer.memory import Plan
    from consumer.offline import Line
    from nlp.calibration import Calibration
    from nlp.evaluate import Counts, Report
    from nlp.model import Manifest
    from nlp.training import trainer
    from nlp.verify import Comparison

MIB = 1024**2
_COLOURS = {"PER": "#0b2540 on #8ecbff", "LOC": "#0c2f12 on #9be29b", "ORG": "#3d1230 on #f5a6d8"}
_OTHER_COLOUR = "#332b00 on #f0d878"
_SHOWN_CHARS = 320  # of one text in the demo
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}  # what some readers take for the end of a line


def plain(text: str) -> None:
    """Print a line as it is."""
    sys.stdout.write(text + "\n")


def error(text: str) -> None:
    """Print what went wrong on standard error."""
    _err().print(_styled(("error: ", "bold red"), text))


def marked(text: str, entities: Sequence[tuple[int, int, str]]) -> Text:
    """Return a text with its entities (start, end, type) coloured by type; without colours they stand in brackets."""
    shown, done = _styled(), 0
    for start, end, name in entities:
        shown.append(text[done:start])
        if _out().is_terminal:
            style = _COLOURS.get(name, _OTHER_COLOUR)
            shown.append(f" {text[start:end]} ", style).append(f"{name} ", f"{style} italic")
        else:
            shown.append(f"[{text[start:end]} {name}]")
        done = end
    return shown.append(text[done:])


def line_writer(format: str | None) -> Callable[[Line], None]:
    """Return what writes a line: `jsonl`, `table` or `text`, by default what suits standard output."""
    chosen = format or ("text" if _out().is_terminal else "jsonl")
    if chosen == "table":
        plain("line\tfield\tstart\tend\ttype\tscore\ttext")
    return {"jsonl": _json_line, "table": _rows, "text": _marked_line}[chosen]


def settings(loaded: Loaded) -> None:
    """Print every setting, its value, and where it came from; secrets are masked."""
    table = _table("setting", "value", "from")
    for name, value in loaded.settings:
        if name != "kafka":
            table.add_row(flag(name), shown(name, value), loaded.origins.get(name, "default"))
    for name, value in masked(loaded.settings.kafka).items():
        table.add_row(f"--kafka {name}", value, "")
    _out().print(table)


def model(manifest: Manifest) -> None:
    """Print what a model is."""
    table = _table("model", manifest.name)
    rows = {
        "revision": manifest.revision,
        "digest": manifest.digest,
        "labels": " ".join(manifest.labels),
        "maximum length": f"{manifest.max_length} tokens",
        "encoder": f"{manifest.layers} layers of {manifest.hidden}, {manifest.heads} heads",
        "quantisation": manifest.quantization + ("" if manifest.scale == "none" else f", {manifest.scale} scale"),
        "source": manifest.source,
        "licence": manifest.licence,
        **{f"sha256 {name}": digest for name, digest in manifest.files.items()},
    }
    for name, value in rows.items():
        table.add_row(name, value)
    _out().print(table)


def plan(plan: Plan) -> None:
    """Print where the memory goes."""
    table = _table("memory plan", "MiB", numbers=True)
    for row in plan.rows:
        table.add_row(row.name, f"{row.bytes / MIB:.1f}")
    table.add_row("together", f"{plan.total / MIB:.1f}", style="bold")
    table.add_row("cap", f"{plan.cap / MIB:.1f}" if plan.cap else "none")
    _out().print(table)


def report(report: Report, format: str, calibration: Calibration | None = None) -> None:
    """Print an evaluation: a table in per cent, or JSON in shares."""
    if format == "json":
        types = {name: _figures(counts) for name, counts in report.types.items()}
        left_out = {"gold": report.gold_left_out, "predicted": report.predicted_left_out}
        told: dict[str, Any] = {"micro": _figures(report.micro), "types": types, "left_out": left_out}
        if calibration:
            told["calibration"] = asdict(calibration)
        plain(json.dumps(told, ensure_ascii=False))
        return
    table = _table("type", "precision", "recall", "F1", "gold", "predicted", numbers=True)
    for name, counts in [*report.types.items(), ("micro", report.micro)]:
        shares = (f"{share * 100:.1f}" for share in (counts.precision, counts.recall, counts.f1))
        style = "bold" if name == "micro" else ""
        table.add_row(name, *shares, f"{counts.gold:,}", f"{counts.predicted:,}", style=style)
    _out().print(table)
    for side, counted in (("gold", report.gold_left_out), ("predicted", report.predicted_left_out)):
        if counted:
            names = ", ".join(f"{name} {count:,}" for name, count in counted.items())
            _out().print(f"left out, without a counterpart, {side}: {names}")
    if calibration:
        _calibration(calibration)


def _calibration(calibration: Calibration) -> None:
    table = _table("score", "spans", "average score", "right", numbers=True)
    for each in calibration.bins:
        table.add_row(f"{each.low:.1f} to {each.high:.1f}", f"{each.spans:,}", f"{each.score:.3f}", f"{each.right:.3f}")
    _out().print("", table)
    _out().print(f"expected calibration error: {calibration.error:.4f}")


def comparison(comparison: Comparison, shown: int) -> None:
    """Print what int8 changes, and at most `shown` of the texts that it reads otherwise."""
    found, c = comparison.entities, comparison
    table = _table("int8 against float32", "", numbers=True)
    rows = {
        "texts": f"{c.texts:,}",
        "characters": f"{c.characters:,}",
        "error of the emissions, of their spread": f"{c.error:.2%}",
        "characters whose highest tag agrees": f"{c.agreement:.3%}",
        "entities, float32": f"{found.gold:,}",
        "entities, int8": f"{found.predicted:,}",
        "F1 of int8's entities against float32's": f"{found.f1:.2%}",
        "… in 95 of 100 samples of as many texts": f"{c.low:.2%} to {c.high:.2%}",
        "texts that differ": f"{len(c.differences):,}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    _out().print(table)
    for difference in c.differences[:shown]:
        for sign, spans in (("-", difference.lost), ("+", difference.added)):
            if spans:
                line = marked(difference.text, [(span.start, span.end, span.label) for span in spans])
                _out().print(_styled((f"{sign} ", "bold"), line))
    if (left := len(c.differences) - shown) > 0:
        _out().print(f"… and {left:,} more (--show)")


def told(text: str) -> None:
    """Print on standard error what is going on."""
    _err().print(text)


def rows(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print a table of words and numbers."""
    shown = _table(*columns, numbers=True)
    for row in cells:
        shown.add_row(*row)
    _out().print(shown)


def table(table: figures.Table) -> None:
    """Print a measurement."""
    shown = _table(*table.columns, numbers=True)
    for row in table.rows:
        shown.add_row(*row)
    _out().print(_styled((table.title, "bold")), "", shown, *(f"\n{remark}" for remark in table.remarks), sep="\n")


@contextmanager
def measuring() -> Iterator[Callable[[int, int, str], None]]:
    """Show on standard error which row is being measured."""
    from rich.progress import Progress

    with Progress(*Progress.get_default_columns(), console=_err(), transient=True) as progress:
        task = progress.add_task("")
        yield lambda done, total, name: progress.update(task, completed=done, total=total, description=name)


@contextmanager
def training() -> Iterator[Callable[[trainer.Progress], None]]:
    """Show on standard error how far a training run is."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err(), transient=True) as progress:
        task = progress.add_task("", total=1.0)

        def show(now: trainer.Progress) -> None:
            f1 = " ".join(f"{name} {100 * value:.1f}" for name, value in now.f1.items())
            text = f"step {now.step:,}, epoch {now.epoch:.2f}, loss {now.loss:.4f}  {f1}"
            progress.update(task, completed=now.share, description=text)

        yield show


@contextmanager
def demo(*, quiet: bool) -> Iterator[DemoShow]:
    """Show the demo as it goes, on standard output, or with `quiet` nowhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(quiet=True) if quiet else _out()
    progress = Progress(
        TextColumn("[bold]annotating"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal or quiet,
    )
    with progress:
        yield DemoShow(progress.console, progress, progress.add_task("messages", total=None))


class DemoShow:
    """Prints what comes out of the demo above a progress bar."""

    def __init__(self, console: Console, progress: Progress, task: TaskID) -> None:
        self._console, self._progress, self._task = console, progress, task

    def annotated(self, message: dict[str, Any]) -> None:
        """Print a message with its entities marked; a long one is cut."""
        text = message["text"]
        entities = [(e["start"], e["end"], e["type"]) for e in message["entities"] if e["end"] <= _SHOWN_CHARS]
        shown = marked(text[:_SHOWN_CHARS], entities)
        if len(text) > _SHOWN_CHARS:
            shown.append(f" … ({len(text):,} characters, {len(message['entities'])} entities)", "dim")
        channel = str(message["attributes"].get("channel", ""))
        self._console.print(_styled((f"{channel:<12}", "dim"), shown))

    def dead_letter(self, reason: str, error: str) -> None:
        """Print why a message went to the dead letters."""
        self._console.print(_styled(("dead letter ", "bold red"), (f"{reason}: {error}", "red")))

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, total=total)


def demo_summary(summary: Summary) -> None:
    """Print the account of the demo."""
    table = _table("summary", "", numbers=True)
    rows = {
        "messages in": f"{summary.produced:,}",
        "messages out, annotated": f"{summary.annotated:,}",
        **{f"dead letters, {reason}": f"{count:,}" for reason, count in summary.dead_letters.items()},
        **{f"entities, {name}": f"{count:,}" for name, count in summary.entities.items()},
        "messages per second": f"{summary.messages_per_second:,.0f}",
        "characters per second": f"{summary.characters_per_second:,.0f}",
        "end-to-end latency, median": f"{summary.latency_p50_seconds * 1000:,.0f} ms",
        "end-to-end latency, 99th percentile": f"{summary.latency_p99_seconds * 1000:,.0f} ms",
        "first message out, after the worker's start": f"{summary.first_message_seconds:.1f} s",
        "worker's peak resident memory": f"{summary.peak_memory_mib:.0f} MiB",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    _out().print(table)
    if summary.complete:
        _out().print(_styled(("every message is accounted for", "bold green")))
    else:
        _out().print(_styled(("messages are missing, or came out twice", "bold red")))


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
        _out().print(marked(text, [(span.start, span.end, span.label) for span in line.spans[field]]))


def _figures(counts: Counts) -> dict[str, float | int]:
    return {
        "precision": round(counts.precision, 6),
        "recall": round(counts.recall, 6),
        "f1": round(counts.f1, 6),
        "gold": counts.gold,
        "predicted": counts.predicted,
    }


@cache
def _out() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


@cache
def _err() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def _styled(*parts: str | Text | tuple[str, str]) -> Text:
    """Join strings, as they are or with a style."""
    from rich.text import Text

    return Text.assemble(*parts)


def _table(*columns: str, numbers: bool = False) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", justify="right" if numbers and i else "left")
    return table
