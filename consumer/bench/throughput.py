"""The process of one engine at one length: how many tokens it scores in a CPU-second, by batch size."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from consumer.bench.subject import status
from nlp.engines import open_engine
from nlp.types import Engine, IntArray, TokenBatch, Window

_FIRST_ID = 5  # behind the special tokens


def measure(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Measure full rows of random tokens."""
    opened, engine = open_engine(options["engine"], Path(options["model"]), options["threads"])
    draw = np.random.default_rng(0)
    rates = {}
    for rows in options["batches"]:
        ids = draw.integers(_FIRST_ID, len(opened.vocabulary), (rows, options["tokens"]), np.int32)
        rates[str(rows)] = _rate(engine, _batch(ids), options["seconds"])
    return {"rates": rates, "peak_bytes": status("VmHWM")}


def _rate(engine: Engine, batch: TokenBatch, seconds: float) -> float:
    engine.emissions(batch)  # what is set up once does not count
    tokens, until, begun = 0, time.monotonic() + seconds, time.process_time()
    while not tokens or time.monotonic() < until:
        engine.emissions(batch)
        tokens += batch.ids.size
    return tokens / (time.process_time() - begun)


def _batch(ids: IntArray) -> TokenBatch:
    rows, width = ids.shape
    return TokenBatch(ids, np.full(rows, width, np.int32), (Window(0, 0, width, 0, width),) * rows)
