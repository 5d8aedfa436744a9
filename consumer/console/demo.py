"""The demo as it goes, and its account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from consumer.console import marked, new_table, out, styled

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from consumer.demo.run import Summary

_SHOWN_CHARS = 320  # of one text


@contextmanager
def showing(*, quiet: bool) -> Iterator[DemoShow]:
    """Show the demo as it goes, on standard output, or with `quiet` nowhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(quiet=True) if quiet else out()
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
        self._console.print(styled((f"{channel:<12}", "dim"), shown))

    def dead_letter(self, reason: str, error: str) -> None:
        """Print why a message went to the dead letters."""
        self._console.print(styled(("dead letter ", "bold red"), (f"{reason}: {error}", "red")))

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, total=total)


def demo_summary(summary: Summary) -> None:
    """Print the account of the demo."""
    table = new_table("summary", "", numbers=True)
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
    out().print(table)
    if summary.complete:
        out().print(styled(("every message is accounted for", "bold green")))
    else:
        out().print(styled(("messages are missing, or came out twice", "bold red")))
