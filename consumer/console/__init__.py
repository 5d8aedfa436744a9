"""Everything a person reads. The only package that prints.

A worker prints nothing, so rich is imported where something is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from consumer.bench import figures
    from nlp.training import trainer

# Told apart on a terminal of sixteen colours too, where the nearest are taken: bright cyan, green, magenta, yellow.
_COLOURS = {"PER": "#0b2540 on #8ecbff", "LOC": "#0c2f12 on #8fe080", "ORG": "#3d1230 on #f58ad0"}
_OTHER_COLOUR = "#332b00 on #f0d878"


def plain(text: str) -> None:
    """Print a line as it is."""
    sys.stdout.write(text + "\n")


def told(text: str) -> None:
    """Print on standard error what is going on."""
    err().print(text)


def error(text: str) -> None:
    """Print what went wrong on standard error."""
    err().print(styled(("error: ", "bold red"), text))


def marked(text: str, entities: Sequence[tuple[int, int, str]]) -> Text:
    """Return a text with its entities (start, end, type) coloured by type; without colours they stand in brackets."""
    shown, done = styled(), 0
    for start, end, name in entities:
        shown.append(text[done:start])
        if out().color_system and not out().no_color:
            style = _COLOURS.get(name, _OTHER_COLOUR)
            shown.append(f" {text[start:end]} ", style).append(f"{name} ", f"{style} italic")
        else:
            shown.append(f"[{text[start:end]} {name}]")
        done = end
    return shown.append(text[done:])


def rows(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print a table of words and numbers."""
    shown = new_table(*columns, numbers=True)
    for row in cells:
        shown.add_row(*row)
    out().print(shown)


def table(table: figures.Table) -> None:
    """Print a measurement."""
    shown = new_table(*table.columns, numbers=True)
    for row in table.rows:
        shown.add_row(*row)
    out().print(styled((table.title, "bold")), "", shown, *(f"\n{remark}" for remark in table.remarks), sep="\n")


@contextmanager
def measuring() -> Iterator[Callable[[int, int, str], None]]:
    """Show on standard error which row is being measured."""
    from rich.progress import Progress

    with Progress(*Progress.get_default_columns(), console=err(), transient=True) as progress:
        task = progress.add_task("")
        yield lambda done, total, name: progress.update(task, completed=done, total=total, description=name)


@contextmanager
def training() -> Iterator[Callable[[trainer.Progress], None]]:
    """Show on standard error how far a training run is."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err(), transient=True) as progress:
        task = progress.add_task("", total=1.0)

        def show(now: trainer.Progress) -> None:
            f1 = " ".join(f"{name} {100 * value:.1f}" for name, value in now.f1.items())
            text = f"step {now.step:,}, epoch {now.epoch:.2f}, loss {now.loss:.4f}  {f1}"
            progress.update(task, completed=now.share, description=text)

        yield show


@cache
def out() -> Console:
    """Return standard output."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # what ends the command says what it means; rich would end it itself

    return Output(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


@cache
def err() -> Console:
    """Return standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def styled(*parts: str | Text | tuple[str, str]) -> Text:
    """Join strings, as they are or with a style."""
    from rich.text import Text

    return Text.assemble(*parts)


def new_table(*columns: str, numbers: bool = False) -> Table:
    """Return an empty table; with `numbers`, all columns but the first stand to the right."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", justify="right" if numbers and i else "left")
    return table
