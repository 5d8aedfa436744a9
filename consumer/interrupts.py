"""Ctrl-C and SIGTERM for commands that make processes and files: nothing of theirs is left behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def clean_up_on_sigterm() -> None:
    """Have SIGTERM end the command as Ctrl-C does, by an exception that lets everything be put away."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Raise `KeyboardInterrupt` only at the end: a process that is being started has no name yet to end it by."""
    came = False

    def note(_: int, __: FrameType | None) -> None:
        nonlocal came
        came = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
