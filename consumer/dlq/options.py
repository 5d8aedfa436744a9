"""The options of `raner-stream dlq`. Imports nothing that takes time: every command reads them."""

from __future__ import annotations

import argparse

from consumer.arguments import above_zero, natural

_NAMES = "reason, stage, error, topic, partition, key, attempts"


def add_list(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dlq list`."""
    _add_filter(parser)
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="tab-separated, or JSON lines (default: table)"
    )


def add_show(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dlq show`."""
    parser.add_argument("place", metavar="PARTITION:OFFSET", help="where it lies in the dead-letter topic")


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dlq replay`."""
    _add_filter(parser)
    parser.add_argument(
        "--rate", type=above_zero, metavar="RECORDS", help="records a second at most (default: as many as go)"
    )
    parser.add_argument(
        "--max-attempts",
        type=natural,
        default=3,
        metavar="NUMBER",
        help="leave out what was sent again so often already (default: 3)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be sent, and send nothing (default: send)"
    )


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="NAME=PATTERN",
        help=f"only where NAME ({_NAMES}) matches PATTERN, with * and ?; of several, all must match (default: all)",
    )
