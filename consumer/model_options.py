"""The options of `raner-stream model`. Imports nothing that takes time: every command reads them."""

from __future__ import annotations

import argparse
from pathlib import Path

from consumer.arguments import natural, positive, share


def add_convert(parser: argparse.ArgumentParser) -> None:
    """Add the options of `model convert`."""
    parser.add_argument("source", type=Path, metavar="SRC", help="RaNER checkpoint directory")
    parser.add_argument("destination", type=Path, metavar="DST", help="serving directory to make")
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: the checkpoint directory's)")
    parser.add_argument("--revision", metavar="NAME", help="its revision (default: start of the weights' sha256)")
    parser.add_argument(
        "--origin", metavar="TEXT", help="where it comes from (default: the checkpoint directory's name)"
    )
    _add_conversion(parser)


def add_synth(parser: argparse.ArgumentParser) -> None:
    """Add the options of `model synth`."""
    parser.add_argument("destination", type=Path, metavar="DST", help="checkpoint directory to make")
    for name, default, text in (
        ("--layers", 12, "layers of the encoder"),
        ("--hidden", 768, "its hidden size"),
        ("--heads", 12, "its attention heads"),
        ("--intermediate", 3072, "its intermediate size"),
        ("--vocabulary", 21_128, "tokens of its vocabulary"),
    ):
        parser.add_argument(name, type=positive, default=default, metavar="NUMBER", help=f"{text} (default: {default})")
    parser.add_argument("--seed", type=natural, default=0, metavar="NUMBER", help="seed of the weights (default: 0)")
    parser.add_argument("--labels", default="PER,LOC,ORG", metavar="NAMES", help="entity types (default: PER,LOC,ORG)")
    parser.add_argument(
        "--format",
        choices=("pytorch", "safetensors"),
        default="pytorch",
        help="ModelScope reads pytorch alone (default: pytorch)",
    )


def add_pull(parser: argparse.ArgumentParser) -> None:
    """Add the options of `model pull`."""
    parser.add_argument("id", metavar="ID", help="its id on ModelScope, OWNER/NAME")
    parser.add_argument("destination", type=Path, metavar="DST", help="serving directory to make")
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: ID)")
    parser.add_argument(
        "--revision",
        metavar="NAME",
        help="tag or branch to download, and the model's revision "
        "(default: the hub's master, and the start of the weights' sha256)",
    )
    parser.add_argument("--origin", metavar="TEXT", help="where it comes from (default: ID)")
    _add_conversion(parser)


def _add_conversion(parser: argparse.ArgumentParser) -> None:
    """Add what `model pull` and `model convert` have in common."""
    parser.add_argument("--licence", metavar="TEXT", help="terms of the weights (default: not stated)")
    parser.add_argument(
        "--min-score",
        type=share,
        default=0.0,
        metavar="PROBABILITY",
        help="least score of an entity that the model gives unless told otherwise (default: 0.0)",
    )
    parser.add_argument(
        "--quantization",
        choices=("int8", "fp32", "both"),
        default="int8",
        help="encoder to write: int8, fp32, or both beside each other (default: int8)",
    )
    parser.add_argument(
        "--scale",
        choices=("pair-safe", "plain"),
        default="pair-safe",
        help="int8 scale: pair-safe for every processor, plain for those with VNNI or AMX (default: pair-safe)",
    )
    parser.add_argument(
        "--verify", metavar="TEXTS", help="compare int8 with float32 on this file first (default: no comparison)"
    )
    _add_comparison(parser)
    parser.add_argument(
        "--fallback",
        choices=("fp32",),
        help="with --verify: what to write in place of an int8 that does not pass (default: nothing)",
    )


def add_average(parser: argparse.ArgumentParser) -> None:
    """Add the options of `model average`."""
    parser.add_argument("destination", type=Path, metavar="DST", help="checkpoint directory to make")
    parser.add_argument(
        "sources",
        type=_source,
        nargs="+",
        metavar="SRC=SHARE",
        help="a RaNER checkpoint, a serving directory or a packaged model, and what it counts beside the others",
    )


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add the options of `model verify`."""
    parser.add_argument("directory", metavar="DIR", help="serving directory, or a packaged model")
    parser.add_argument("texts", metavar="TEXTS", help="a text a line, or JSON lines with a field text; - for stdin")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="SRC", help="what it was made from, if it holds int8 alone (default: none)"
    )
    _add_comparison(parser)


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=share,
        default=0.99,
        metavar="SHARE",
        help="least F1 of int8's entities against float32's that passes (default: 0.99)",
    )
    parser.add_argument(
        "--show", type=natural, default=20, metavar="NUMBER", help="most texts to print that differ (default: 20)"
    )


def add_info(parser: argparse.ArgumentParser) -> None:
    """Add the options of `model info`."""
    parser.add_argument(
        "directory",
        nargs="?",
        default="default",
        metavar="DIR",
        help="serving directory, or a packaged model: default, tiny (default: default)",
    )


def _source(text: str) -> tuple[str, float]:
    path, _, number = text.rpartition("=")
    try:
        return path, float(number)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} ends in no share; expected SRC=SHARE, as default=0.5") from error
