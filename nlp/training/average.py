"""The mean of several models' weights: those that began with the same ones often do better together than alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from nlp import model
from nlp.errors import TrainingError
from nlp.making import refuse_occupied
from nlp.training.start import Start, read_start
from nlp.training.write import write_checkpoint


def average(sources: Sequence[tuple[Path | str, float]], destination: Path) -> None:
    """Write a RaNER checkpoint whose weights are the mean of those of `sources`, each with its share of their sum.

    A source is a RaNER checkpoint, a serving directory or a packaged model's name. What not all of them have, as a
    pooler, is left out. int8 has its LayerNorm outputs centred (`nlp.centre`), so its weights mean the same as another
    model's only where both are int8, or the other began with it. Source: Wortsman et al., 2022, Model soups. Raises
    `TrainingError` when they are not of one kind or the shares have no sum above 0, and `ModelError` when
    `destination` exists and holds something.
    """
    refuse_occupied(destination)
    shares = np.array([share for _, share in sources], np.float32)
    if not 0 < shares.sum() < np.inf:
        raise TrainingError(f"the shares {shares.tolist()} have no sum above 0; expected numbers")
    starts = [read_start(model.located(path)) for path, _ in sources]
    first = starts[0]
    for (path, _), start in zip(sources, starts, strict=True):
        if not start.tags:
            raise TrainingError(f"{path} is a bare encoder; expected a trained model")
        if (differing := _differing(first, start)) is not None:
            raise TrainingError(f"{path} has another {differing} than {sources[0][0]}; expected models of one kind")
    names = [name for name in first.tensors if all(name in start.tensors for start in starts)]
    tensors = {
        name: np.average([start.tensors[name] for start in starts], axis=0, weights=shares).astype(np.float32)
        for name in names
    }
    write_checkpoint(tensors, first, destination)


def _differing(one: Start, other: Start) -> str | None:
    names = (field.name for field in fields(Start) if field.name != "tensors")
    return next((name for name in names if getattr(one, name) != getattr(other, name)), None)
