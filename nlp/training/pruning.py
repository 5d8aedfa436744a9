"""A smaller encoder cut out of a trained one: some of its layers, and the strongest neurons of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nlp.errors import TrainingError
from nlp.types import FloatArray

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
        strongest = np.sort(np.argsort(-strength, kind="stable")[:count])
        kept[f"{inward}.weight"] = into[strongest]
        kept[f"{inward}.bias"] = tensors[f"{inward}.bias"][strongest]
        kept[outward] = out[:, strongest]
    return kept
