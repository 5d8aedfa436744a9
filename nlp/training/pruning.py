"""A smaller encoder cut out of a trained one: some of its layers, its strongest channels, heads and neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nlp.errors import TrainingError
from nlp.types import FloatArray, IntArray

WORDS = "encoder.embeddings.word_embeddings.weight"
_LAYER = "encoder.encoder.layer."
Tensors = Mapping[str, FloatArray]


def with_layers(tensors: Tensors, layers: Sequence[int], of: int) -> dict[str, FloatArray]:
    """Keep the layers named, counted from 0, and number them anew; raise `TrainingError` for one that is not there."""
    if strange := sorted(set(layers) - set(range(of))):
        raise TrainingError(f"layers names {', '.join(map(str, strange))}; the encoder has 0 to {of - 1}")
    kept = {name: values for name, values in tensors.items() if not name.startswith(_LAYER)}
    for new, old in enumerate(layers):
        start = f"{_LAYER}{old}."
        kept |= {
            name.replace(start, f"{_LAYER}{new}.", 1): values
            for name, values in tensors.items()
            if name.startswith(start)
        }
    return kept


def with_neurons(tensors: Tensors, layers: int, count: int) -> dict[str, FloatArray]:
    """Keep `count` neurons of every feed-forward network: those whose weights, in times out, have the largest norms.

    Raises `TrainingError` where there are fewer.
    """
    kept = dict(tensors)
    for layer in range(layers):
        inward, outward = f"{_LAYER}{layer}.intermediate.dense", f"{_LAYER}{layer}.output.dense.weight"
        into, out = tensors[f"{inward}.weight"], tensors[outward]  # (neurons, hidden), (hidden, neurons)
        if count > len(into):
            raise TrainingError(f"intermediate is {count}; the encoder has {len(into)} neurons a layer")
        strength = np.linalg.norm(into, axis=1) * np.linalg.norm(out, axis=0)
        strongest = _strongest(strength, count)
        kept[f"{inward}.weight"] = into[strongest]
        kept[f"{inward}.bias"] = tensors[f"{inward}.bias"][strongest]
        kept[outward] = out[:, strongest]
    return kept


def with_channels(tensors: Tensors, layers: int, heads: int, count: int) -> dict[str, FloatArray]:
    """Keep `count` channels of the hidden state: those that the embeddings of tokens spread most in.

    Heads keep their size, so as many remain as `count` holds: those whose products of weights, of query with key and of
    value with output, have the largest norms. Raises `TrainingError` where the count makes no whole heads.
    """
    hidden = tensors[WORDS].shape[1]
    size = hidden // heads
    if count % size or count > hidden:
        raise TrainingError(f"hidden is {count}; expected a multiple of {size}, the size of a head, up to {hidden}")
    channels = _strongest(tensors[WORDS].std(0), count)
    kept = {name: _of_channels(name, values, channels) for name, values in tensors.items()}
    for layer in range(layers):
        attention = f"{_LAYER}{layer}.attention"
        strongest = _strongest(_strength_of_heads(tensors, attention, heads), count // size)
        rows = (strongest[:, None] * size + np.arange(size)).reshape(-1)
        for name in (f"{attention}.self.{part}" for part in ("query", "key", "value")):
            kept[f"{name}.weight"], kept[f"{name}.bias"] = kept[f"{name}.weight"][rows], kept[f"{name}.bias"][rows]
        kept[f"{attention}.output.dense.weight"] = kept[f"{attention}.output.dense.weight"][:, rows]
    return kept


def _strength_of_heads(tensors: Tensors, attention: str, heads: int) -> FloatArray:
    """Return (heads,) products of two norms: of what a head compares tokens by, and of what it makes of them."""
    query, key, value = (tensors[f"{attention}.self.{part}.weight"] for part in ("query", "key", "value"))
    query, key, value = (matrix.reshape(heads, -1, query.shape[1]) for matrix in (query, key, value))
    output = tensors[f"{attention}.output.dense.weight"]
    outward = output.reshape(len(output), heads, -1).transpose(1, 0, 2)  # (heads, hidden, size)
    compared, made = query.transpose(0, 2, 1) @ key, outward @ value  # (heads, hidden, hidden)
    strength: FloatArray = np.linalg.norm(compared, axis=(1, 2)) * np.linalg.norm(made, axis=(1, 2))
    return strength


def _of_channels(name: str, values: FloatArray, channels: IntArray) -> FloatArray:
    """Return the part of a tensor that belongs to some channels: rows where it writes them, columns where it reads."""
    if name.endswith((".output.dense.weight", ".output.dense.bias", "LayerNorm.weight", "LayerNorm.bias")):
        return values[channels]
    reads = name.endswith("weight")  # of a linear layer, or of embeddings, which have channels for columns too
    return values[:, channels] if reads else values


def _strongest(strength: FloatArray, count: int) -> IntArray:
    """Return the places of the largest values, in their order."""
    return np.sort(np.argsort(-strength, kind="stable")[:count])
