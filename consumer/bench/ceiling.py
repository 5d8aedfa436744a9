"""The machine's ceiling, by number type: the fastest of all public matrix products, in the same run as the engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from consumer.bench.figures import Figure
from consumer.bench.products import LAYER_BATCH, METHODS
from consumer.bench.spawn import Job, Result
from nlp.checkpoint import Architecture
from nlp.convert import convert
from nlp.synth import BASE, synthesize

LAYERS = tuple(
    replace(BASE, layers=1, heads=hidden // 64, hidden=hidden, intermediate=4 * hidden, vocabulary=128, activation=name)
    for hidden, name in ((768, "relu"), (2048, "relu"))
)
"""Encoders of one layer: the larger, the more of their time goes into products."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Multiply-adds per CPU-second of one number type, `int8` or `fp32`, and which product reached them."""

    type: str
    method: str
    shape: str
    rate: Figure


def macs_per_token(layers: int, hidden: int, intermediate: int, tokens: int) -> int:
    """Return an encoder's multiply-adds for each token of a row of so many: projections, feed-forward, attention."""
    return layers * (4 * hidden**2 + 2 * hidden * intermediate + 2 * tokens * hidden)


def jobs_of(directory: Path, types: Iterable[str], seconds: float) -> list[Job]:
    """Return a row for every method of the number types, after writing below `directory` what they need."""
    layers = dict(_layer(directory / f"layer-{number}", shape) for number, shape in enumerate(LAYERS))
    return [
        Job(method, "ceiling", {"method": method, "layers": layers, "seconds": seconds})
        for method in METHODS
        if method.split(",", maxsplit=1)[0] in types
    ]


def fastest(jobs: Sequence[Job], results: Sequence[Sequence[Result]]) -> dict[str, Ceiling]:
    """Return the ceiling of every number type: of all methods and shapes that ran, the one with the best median."""
    found: dict[str, Ceiling] = {}
    for job, its in zip(jobs, results, strict=True):
        kind, _, method = job.name.partition(", ")
        rates = [result["rates"] for result in its if "rates" in result]
        for shape in rates[0] if rates else ():
            one = Ceiling(kind, method, shape, Figure.of([rate[shape] for rate in rates]))
            if kind not in found or one.rate.median > found[kind].rate.median:
                found[kind] = one
    return found


def _layer(directory: Path, a: Architecture) -> tuple[str, Mapping[str, Any]]:
    source, served = directory / "checkpoint", directory / "served"
    synthesize(source, a, format="safetensors")
    convert(source, served, quantization="both")
    rows, width = LAYER_BATCH
    macs = rows * width * macs_per_token(a.layers, a.hidden, a.intermediate, width)
    return str(served), {"name": f"one layer of {a.hidden}, {a.intermediate}", "macs": macs}
