"""CTranslate2 on the CPU: the encoder in int8 or float32, the head in float32."""

from __future__ import annotations

from pathlib import Path

import ctranslate2
import numpy as np

from nlp import model
from nlp.engines.cpu import adds_pairs_in_16_bits
from nlp.errors import ModelError
from nlp.model import Head, Model
from nlp.types import FloatArray, TokenBatch

_COMPUTE_TYPES = {"ct2-int8": "int8", "ct2-fp32": "float32"}


class CT2Engine:
    """Runs the encoder of a serving directory.

    CTranslate2 leaves padding out of its matrix products and quantises activations per token, so a row's result
    depends on the row and its width only.
    """

    def __init__(self, encoder: Path, head: Head, *, compute_type: str, threads: int) -> None:
        """Load CTranslate2's model directory `encoder`; `compute_type` is what its weights are stored in."""
        self._encoder = ctranslate2.Encoder(
            str(encoder), device="cpu", compute_type=compute_type, intra_threads=threads
        )
        self._weight = np.ascontiguousarray(head.weight.T)  # (hidden, tags)
        self._bias = head.bias

    def emissions(self, batch: TokenBatch) -> FloatArray:
        """See `Engine`."""
        output = self._encoder.forward_batch(
            ctranslate2.StorageView.from_array(batch.ids),
            ctranslate2.StorageView.from_array(batch.lengths),
        )
        hidden = np.asarray(output.last_hidden_state)  # (rows, width, hidden), a view
        # One product per row: a single one over all rows would round differently with their number.
        scores: FloatArray = np.stack([row @ self._weight for row in hidden]) + self._bias
        return scores


def int8(directory: Path, threads: int) -> tuple[Model, CT2Engine]:
    """Open a serving directory's int8 encoder; raise `ModelError` for one that this processor would compute wrongly."""
    opened = model.read(directory, "ct2-int8")
    if opened.manifest.scale == "plain" and adds_pairs_in_16_bits():
        raise ModelError(
            f"{directory} has int8 weights of the plain scale, which overflow on a processor without VNNI or AMX; "
            "convert the checkpoint again (`--scale pair-safe`)"
        )
    return opened, _engine(directory, opened, "ct2-int8", threads)


def fp32(directory: Path, threads: int) -> tuple[Model, CT2Engine]:
    """Open a serving directory's float32 encoder."""
    opened = model.read(directory, "ct2-fp32")
    return opened, _engine(directory, opened, "ct2-fp32", threads)


def _engine(directory: Path, opened: Model, name: str, threads: int) -> CT2Engine:
    encoder = directory / model.ENCODERS[name]
    return CT2Engine(encoder, opened.head, compute_type=_COMPUTE_TYPES[name], threads=threads)
