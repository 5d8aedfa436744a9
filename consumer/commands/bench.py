"""`raner-stream bench …`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from consumer import console
from consumer.errors import SettingsError

if TYPE_CHECKING:
    from consumer.bench.engines import Engines
    from consumer.bench.note import Note


def note(arguments: argparse.Namespace) -> int:
    """`raner-stream bench note`."""
    from consumer.bench import note as measurement

    if arguments.gold and not arguments.model:
        raise SettingsError("--gold without --model: a synthetic model finds nothing; name a trained checkpoint")
    _make(arguments.output)
    with console.measuring() as show:
        measured = measurement.measure(
            arguments.model,
            gold=arguments.gold,
            sentences=arguments.sentences,
            repeats=arguments.repeats,
            threads=arguments.threads,
            seconds=arguments.seconds,
            show=show,
        )
    console.table(measured.table())
    _write(arguments.output, "note", measured)
    return 0


def engines(arguments: argparse.Namespace) -> int:
    """`raner-stream bench engines`."""
    from consumer.bench import engines as measurement

    _make(arguments.output)
    with console.measuring() as show:
        measured = measurement.compare(
            arguments.model,
            engines=arguments.engines,
            lengths=arguments.lengths,
            batches=arguments.batches,
            repeats=arguments.repeats,
            threads=arguments.threads,
            seconds=arguments.seconds,
            show=show,
        )
    console.table(measured.table())
    _write(arguments.output, "engines", measured)
    return 0


def _make(directory: Path | None) -> None:
    if directory:
        directory.mkdir(parents=True, exist_ok=True)  # what cannot be written is known before the measurement


def _write(directory: Path | None, name: str, measured: Note | Engines) -> None:
    from consumer.bench import output

    if directory:
        for path in output.write(directory, name, measured):
            console.plain(str(path))
