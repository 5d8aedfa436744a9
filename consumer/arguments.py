"""Kinds of numbers on the command line. Imports nothing that takes time: every command reads them."""

from __future__ import annotations

import argparse
import math


def share(text: str) -> float:
    """Read a number from zero to one."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{number} is not between 0 and 1")
    return number


def positive(text: str) -> int:
    """Read a number from one on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def natural(text: str) -> int:
    """Read a number from zero on."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def above_zero(text: str) -> float:
    """Read a number above zero."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return number
