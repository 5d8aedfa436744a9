"""Trained models from which another one learns what to expect (distillation)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nlp.errors import TrainingError
from nlp.training.likelihood import Crf, Expected, Tensor
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
        self._crf = Crf(len(start.tags)).to(device)
        with torch.no_grad():
            for name, value in self._crf.named_parameters() if self._networks else ():
                value.copy_(torch.stack([network.crf.get_parameter(name) for network, _ in self._networks]).mean(0))

    def expected(self, ids: Tensor, lengths: Tensor) -> Expected:
        """Return what they expect by the mean of their scores, for ids (rows, width) of the one that learns."""
        with torch.no_grad():
            scores = torch.stack([network.emissions(own[ids], lengths) for network, own in self._networks]).mean(0)
        expected: Expected = self._crf.expected(scores, lengths)
        return expected


def _ids_of(theirs: Start, start: Start) -> np.ndarray:
    """Return a model's id of every token of the one that learns, (tokens,); a character it does not know is [UNK]."""
    known = {token: i for i, token in enumerate(theirs.vocabulary)}
    unknown = theirs.tokenizer.unknown
    return np.array([known.get(token, unknown) for token in start.vocabulary], np.int64)
