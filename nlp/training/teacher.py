"""Trained models whose scores another one learns (distillation)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nlp.errors import TrainingError
from nlp.training.likelihood import Tensor
from nlp.training.network import Network
from nlp.training.start import Start, head_of, read_start


class Teachers:
    """One or more networks with the tags of the one that learns; their vocabularies may be others."""

    def __init__(self, directories: Sequence[Path], start: Start, device: str, precision: str) -> None:
        """Read the models for a network that begins with `start`; raise `TrainingError` where their tags differ."""
        self._networks = []
        for directory in directories:
            theirs = read_start(directory)
            head = head_of(theirs, start.tags)
            if not head:
                raise TrainingError(
                    f"the teacher {directory} has the tags {' '.join(theirs.tags) or '(none)'}; "
                    f"expected {' '.join(start.tags)}"
                )
            network = Network(theirs.architecture, len(start.tags), conventions=1, dropout=0.0, precision=precision)
            network.load({**theirs.tensors, **head})
            network.to(device).eval().requires_grad_(False)
            self._networks.append((network, torch.from_numpy(_ids_of(theirs, start)).to(device)))

    def emissions(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean of their scores, (rows, width - 2, tags), for ids (rows, width) of the one that learns."""
        with torch.no_grad():
            return torch.stack([network.emissions(own[ids], lengths) for network, own in self._networks]).mean(0)


def _ids_of(theirs: Start, start: Start) -> np.ndarray:
    """Return a model's id of every token of the one that learns, (tokens,); a character it does not know is [UNK]."""
    known = {token: i for i, token in enumerate(theirs.vocabulary)}
    unknown = theirs.tokenizer.unknown
    return np.array([known.get(token, unknown) for token in start.vocabulary], np.int64)
