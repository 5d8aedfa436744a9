"""The options of `raner-stream bench`. Imports nothing that takes time: every command reads them."""

from __future__ import annotations

import argparse
from pathlib import Path

from consumer.arguments import above_zero, positive

_ENGINES = "ct2-int8,ct2-fp32,torch-fp32,torch-int8"
_LENGTHS, _BATCHES = "16,48,128,512", "1,4,16"


def add_note(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench note`."""
    _add_common(parser, seconds=10.0, what="row and repeat")
    parser.add_argument(
        "--gold", type=Path, metavar="FILE", help="gold file to compute F1 with, for a trained --model (default: no F1)"
    )
    parser.add_argument(
        "--sentences",
        type=positive,
        default=200,
        metavar="NUMBER",
        help="sentences of the gold file, from its start (default: 200)",
    )


def add_engines(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench engines`."""
    _add_common(parser, seconds=2.0, what="length, batch size and repeat")
    for name, kind, default, text in (
        ("--engines", _names, _ENGINES, "engines to measure"),
        ("--lengths", _numbers, _LENGTHS, "lengths in tokens"),
        ("--batches", _numbers, _BATCHES, "rows of a batch"),
    ):
        told = f"{text} (default: {default})"
        parser.add_argument(name, type=kind, default=kind(default), metavar="LIST", help=told)


def _add_common(parser: argparse.ArgumentParser, *, seconds: float, what: str) -> None:
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIRECTORY",
        help="RaNER checkpoint (default: a synthetic one of base size, made on the spot)",
    )
    parser.add_argument("--repeats", type=positive, default=3, metavar="NUMBER", help="processes a row (default: 3)")
    parser.add_argument("--threads", type=positive, default=1, metavar="NUMBER", help="threads (default: 1)")
    parser.add_argument(
        "--seconds", type=above_zero, default=seconds, metavar="SECONDS", help=f"for each {what} (default: {seconds:g})"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIRECTORY", help="where to write JSON, Markdown and pictures (default: nowhere)"
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(map(int, text.split(",")))
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} holds a number below 1")
    return numbers
