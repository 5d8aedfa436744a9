"""A BERT encoder with RaNER's head written out in numpy, float64: what an engine is held against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nlp.checkpoint import Architecture

Array = np.ndarray[Any, np.dtype[np.float64]]
_erf = np.vectorize(math.erf)


def emissions(tensors: dict[str, Any], a: Architecture, ids: list[int]) -> Array:
    """Return the emissions (tokens, tags) of one row without padding."""
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    prefix = "encoder.embeddings."
    x = (
        t[f"{prefix}word_embeddings.weight"][ids]
        + t[f"{prefix}position_embeddings.weight"][: len(ids)]
        + t[f"{prefix}token_type_embeddings.weight"][0]
    )
    x = _norm(x, t, f"{prefix}LayerNorm", a)
    for i in range(a.layers):
        name = f"encoder.encoder.layer.{i}."
        attended = _linear(_attention(x, t, name, a), t, f"{name}attention.output.dense")
        x = _norm(x + attended, t, f"{name}attention.output.LayerNorm", a)
        inner = _linear(x, t, f"{name}intermediate.dense")
        gelu = inner * 0.5 * (1 + _erf(inner / math.sqrt(2)))
        x = _norm(x + _linear(gelu, t, f"{name}output.dense"), t, f"{name}output.LayerNorm", a)
    return _linear(x, t, "linear")


def _attention(x: Array, t: dict[str, Array], name: str, a: Architecture) -> Array:
    size = a.hidden // a.heads
    query, key, value = (
        _linear(x, t, f"{name}attention.self.{part}").reshape(len(x), a.heads, size).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(size)
    weights = np.exp(scores - scores.max(2, keepdims=True))
    mixed = weights / weights.sum(2, keepdims=True) @ value
    return mixed.transpose(1, 0, 2).reshape(len(x), a.hidden)


def _linear(x: Array, t: dict[str, Array], name: str) -> Array:
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def _norm(x: Array, t: dict[str, Array], name: str, a: Architecture) -> Array:
    centred = x - x.mean(1, keepdims=True)
    scale = np.sqrt((centred**2).mean(1, keepdims=True) + a.layer_norm_epsilon)
    return centred / scale * t[f"{name}.weight"] + t[f"{name}.bias"]
