"""Matrix products as public libraries offer them, to find how fast this machine multiplies at best."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nlp.engines.cpu import keep_heap

Product = Callable[[], object]
Products = Iterator[tuple[str, int, Product]]  # what is multiplied, its multiply-adds, and what does it once

SHAPES = ((128, 768, 3072), (512, 2048, 8192), (512, 4096, 4096))
"""Rows, inputs, outputs: a base model's widest product, and larger ones, which lose less on what is around them."""

LAYER_BATCH = (64, 8)  # rows and width: attention over 8 tokens costs next to nothing


def measure(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return multiply-adds per CPU-second by what was multiplied, with the method that `options` names."""
    warnings.simplefilter("ignore")
    keep_heap()  # as the engines do
    products = METHODS[options["method"]](options)
    return {"rates": {name: _rate(product, macs, options["seconds"]) for name, macs, product in products}}


def _rate(product: Product, macs: int, seconds: float) -> float:
    product()
    done, until, begun = 0, time.monotonic() + seconds, time.process_time()
    while not done or time.monotonic() < until:
        product()
        done += 1
    return done * macs / (time.process_time() - begun)


def _shapes() -> Iterator[tuple[str, int, int, int, int]]:
    for rows, inputs, outputs in SHAPES:
        yield f"{rows} × {inputs} × {outputs}", rows * inputs * outputs, rows, inputs, outputs


def _layers(options: Mapping[str, Any], *, engine: str, compute_type: str) -> Products:
    """CTranslate2 offers no bare product: the encoders of one layer that the parent made are nearly all products."""
    import ctranslate2

    from nlp.engines.ct2 import load_encoder
    from nlp.model import ENCODERS

    rows, width = LAYER_BATCH
    ids = ctranslate2.StorageView.from_array(np.ones((rows, width), np.int32))
    lengths = ctranslate2.StorageView.from_array(np.full(rows, width, np.int32))
    for directory, layer in options["layers"].items():
        path = Path(directory) / ENCODERS[engine]
        encoder = load_encoder(path, compute_type=compute_type, threads=options["threads"])
        yield layer["name"], layer["macs"], partial(_forward, encoder, ids, lengths)


def _forward(encoder: Any, ids: Any, lengths: Any) -> object:
    return np.asarray(encoder.forward_batch(ids, lengths).last_hidden_state)


def _numpy(_: Mapping[str, Any]) -> Products:
    draw = np.random.default_rng(0)
    for name, macs, rows, inputs, outputs in _shapes():
        a = draw.standard_normal((rows, inputs), np.float32)
        b = draw.standard_normal((inputs, outputs), np.float32)
        yield name, macs, partial(np.matmul, a, b, out=np.empty((rows, outputs), np.float32))


def _torch_mm(options: Mapping[str, Any]) -> Products:
    import torch

    torch.set_num_threads(options["threads"])
    for name, macs, rows, inputs, outputs in _shapes():
        a, b = torch.randn(rows, inputs), torch.randn(inputs, outputs)
        yield name, macs, partial(torch.mm, a, b, out=torch.empty(rows, outputs))


def _torch_onednn(options: Mapping[str, Any]) -> Products:
    import torch
    from torch.utils.mkldnn import to_mkldnn

    torch.set_num_threads(options["threads"])
    for name, macs, rows, inputs, outputs in _shapes():
        linear, a = to_mkldnn(torch.nn.Linear(inputs, outputs).eval()), torch.randn(rows, inputs).to_mkldnn()
        yield name, macs, partial(_inferred, linear, a)


def _torch_int_mm(options: Mapping[str, Any]) -> Products:
    import torch

    torch.set_num_threads(options["threads"])
    for name, macs, rows, inputs, outputs in _shapes():
        a = torch.randint(-127, 128, (rows, inputs), dtype=torch.int8)
        b = torch.randint(-127, 128, (inputs, outputs), dtype=torch.int8)
        yield name, macs, partial(torch._int_mm, a, b)  # noqa: SLF001 - it has no other name


def _torch_quantized(options: Mapping[str, Any], *, runtime: str) -> Products:
    """Multiply without converting from float32 and back, which the rest of a quantised network cannot spare itself."""
    import torch

    torch.set_num_threads(options["threads"])
    torch.backends.quantized.engine = runtime
    for name, macs, rows, inputs, outputs in _shapes():
        linear = torch.ao.nn.quantized.Linear(inputs, outputs)
        a = torch.quantize_per_tensor(torch.randn(rows, inputs), 0.05, 64, torch.quint8)
        yield name, macs, partial(_inferred, linear, a)


def _inferred(module: Any, value: Any) -> object:
    import torch

    with torch.inference_mode():
        return module(value)


METHODS: Mapping[str, Callable[[Mapping[str, Any]], Products]] = {
    "int8, CTranslate2": partial(_layers, engine="ct2-int8", compute_type="int8"),
    "int8, torch._int_mm": _torch_int_mm,
    "int8, torch quantized Linear, fbgemm": partial(_torch_quantized, runtime="fbgemm"),
    "int8, torch quantized Linear, oneDNN": partial(_torch_quantized, runtime="onednn"),
    "fp32, CTranslate2": partial(_layers, engine="ct2-fp32", compute_type="float32"),
    "fp32, numpy.matmul": _numpy,
    "fp32, torch.mm": _torch_mm,
    "fp32, torch oneDNN Linear": _torch_onednn,
}
"""By number type and library; each is tried, and the fastest is the ceiling."""
