"""Which engine serves a directory here: by the processor's flags, or by measuring."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import numpy as np

from nlp import model
from nlp.engines import open_engine
from nlp.engines.cpu import int8_is_fast, overflows
from nlp.errors import ModelError
from nlp.types import Engine, TokenBatch, Window

AUTO, FASTEST = "auto", "fastest"

_ROWS, _WIDTH, _REPEATS = 4, 128, 3


def choose(name: str, directory: Path, threads: int) -> str:
    """Return the engine that `name` means for `directory`: itself, or for `auto` and `fastest` one that it holds.

    `auto` goes by the processor: int8 where that is fast, else float32 if the directory has it. `fastest` times each.
    """
    if name not in (AUTO, FASTEST):
        return name
    manifest = model.read_manifest(directory)
    held = [engine for engine in manifest.engines if engine != "ct2-int8" or not overflows(manifest.scale)]
    held = held or list(manifest.engines)  # an int8 alone says itself why it cannot be served
    if not held:
        raise ModelError(f"{directory / model.MANIFEST} lists no encoder; convert the checkpoint again")
    if name == FASTEST and len(held) > 1:
        return min(held, key=lambda each: _seconds(each, directory, threads))
    preferred = "ct2-int8" if int8_is_fast() else "ct2-fp32"
    return preferred if preferred in held else held[0]


def _seconds(name: str, directory: Path, threads: int) -> float:
    opened, engine = open_engine(name, directory, threads)
    batch = _batch(opened.manifest.max_length)
    engine.emissions(batch)  # what is set up once does not count
    best = min(_timed(engine, batch) for _ in range(_REPEATS))
    del engine
    gc.collect()  # before the next encoder is loaded
    return best


def _timed(engine: Engine, batch: TokenBatch) -> float:
    begun = time.perf_counter()
    engine.emissions(batch)
    return time.perf_counter() - begun


def _batch(max_length: int) -> TokenBatch:
    width = min(_WIDTH, max_length)
    windows = tuple(Window(0, 0, width, 0, width) for _ in range(_ROWS))
    return TokenBatch(np.ones((_ROWS, width), np.int32), np.full(_ROWS, width, np.int32), windows)
