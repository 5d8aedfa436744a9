"""Takes constants out of what int8 has to carry, without changing what the encoder computes.

A few channels of BERT's LayerNorm outputs lie far from zero in every token, and int8 takes its step from the largest
value of a token: the constants coarsen all the others. What a channel is on average is subtracted from the LayerNorm's
bias and added again in the biases behind it: those of the products that read it, and that of the product whose result
joins it in the residual sum. On trained encoders this takes the largest value of a token to a half or a quarter.

The idea is the channel-wise shifting of "Outlier Suppression+" (Wei et al., 2023); in a post-norm encoder it is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nlp.checkpoint import Architecture, Checkpoint
from nlp.types import FloatArray, IntArray

_ROWS, _WIDTH, _SEED = 16, 64, 0


def centred(checkpoint: Checkpoint) -> dict[str, FloatArray]:
    """Return a checkpoint's tensors with the LayerNorm outputs inside of its encoder centred at zero.

    The averages are those of random characters: they need no texts, and need not be exact.
    """
    tensors = {name: value.astype(np.float64) for name, value in checkpoint.tensors.items() if value.ndim == 1}
    for name, output in layer_norms(checkpoint, _characters(checkpoint)):
        if name not in (readers := _readers(checkpoint.architecture)):
            continue  # the last one, which the head reads
        mean = output[:, 1:-1].mean((0, 1), dtype=np.float64)  # without [CLS] and [SEP], which are unlike all others
        products, residual = readers[name]
        tensors[f"{name}.bias"] -= mean
        for product in products:
            tensors[f"{product}.bias"] += checkpoint.tensors[f"{product}.weight"] @ mean
        tensors[f"{residual}.bias"] += mean
    return {**checkpoint.tensors, **{name: value.astype(np.float32) for name, value in tensors.items()}}


def layer_norms(checkpoint: Checkpoint, ids: IntArray) -> Iterator[tuple[str, FloatArray]]:
    """Run the encoder on `ids`, shape (rows, width), and yield each LayerNorm's name and output, in order.

    Outputs have shape (rows, width, hidden). GELU is its approximation by tanh: this is for averages.
    """
    a, tensors = checkpoint.architecture, checkpoint.tensors

    def linear(name: str, x: FloatArray) -> FloatArray:
        product: FloatArray = x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
        return product

    def norm(name: str, x: FloatArray) -> FloatArray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + a.layer_norm_epsilon)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def heads(x: FloatArray) -> FloatArray:  # (rows, width, hidden) -> (rows, heads, width, hidden / heads)
        return x.reshape(*ids.shape, a.heads, -1).swapaxes(1, 2)

    name = "encoder.embeddings"
    x = tensors[f"{name}.word_embeddings.weight"][ids] + tensors[f"{name}.token_type_embeddings.weight"][0]
    x = norm(f"{name}.LayerNorm", x + tensors[f"{name}.position_embeddings.weight"][: ids.shape[1]])
    yield f"{name}.LayerNorm", x
    for name in _layers(a):
        query, key, value = (heads(linear(f"{name}.attention.self.{part}", x)) for part in ("query", "key", "value"))
        context = _softmax(query @ key.swapaxes(2, 3) / np.float32((a.hidden / a.heads) ** 0.5)) @ value
        attended = linear(f"{name}.attention.output.dense", context.swapaxes(1, 2).reshape(x.shape))
        x = norm(f"{name}.attention.output.LayerNorm", x + attended)
        yield f"{name}.attention.output.LayerNorm", x
        inner = _activated(linear(f"{name}.intermediate.dense", x), a.activation)
        x = norm(f"{name}.output.LayerNorm", x + linear(f"{name}.output.dense", inner))
        yield f"{name}.output.LayerNorm", x


def _readers(a: Architecture) -> Mapping[str, tuple[tuple[str, ...], str]]:
    """Return, for each LayerNorm inside of the encoder, the products that read it and the one that is added to it."""
    readers = {}
    before = "encoder.embeddings.LayerNorm"
    for name in _layers(a):
        projections = tuple(f"{name}.attention.self.{part}" for part in ("query", "key", "value"))
        readers[before] = (projections, f"{name}.attention.output.dense")
        readers[f"{name}.attention.output.LayerNorm"] = ((f"{name}.intermediate.dense",), f"{name}.output.dense")
        before = f"{name}.output.LayerNorm"
    return readers


def _layers(a: Architecture) -> list[str]:
    return [f"encoder.encoder.layer.{i}" for i in range(a.layers)]


def _characters(checkpoint: Checkpoint) -> IntArray:
    single = [i for i, token in enumerate(checkpoint.vocabulary) if len(token) == 1]
    width = min(_WIDTH, checkpoint.max_length)
    ids: IntArray = np.random.default_rng(_SEED).choice(np.array(single or [0], np.int32), (_ROWS, width))
    return ids


def _softmax(scores: FloatArray) -> FloatArray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    shares: FloatArray = powers / powers.sum(-1, keepdims=True)
    return shares


def _activated(x: FloatArray, activation: str) -> FloatArray:
    if activation == "relu":
        return np.maximum(x, 0)
    inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3)
    gelu: FloatArray = np.multiply(np.float32(0.5) * x, np.float32(1) + np.tanh(inner), dtype=np.float32)
    return gelu
