"""CTranslate2 on the CPU: the encoder in int8 or float32, the head in float32."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from nlp import model
from nlp.engines.cpu import cpu_flags, keep_heap, overflows
from nlp.errors import ModelError
from nlp.model import Head, Model
from nlp.types import FloatArray, IntArray, TokenBatch

_COMPUTE_TYPES = {"ct2-int8": "int8", "ct2-fp32": "float32"}


class CT2Engine:
    """Runs the encoder of a serving directory, the rows of a batch side by side in as many threads as it is given.

    CTranslate2 leaves padding out of its matrix products. In int8 it quantises activations per token and adds whole
    numbers, so a row's result depends on the row and its width only; float32 products round differently with the number
    of rows, so there a row is computed at a time.
    """

    def __init__(self, encoder: Path, head: Head, *, compute_type: str, threads: int) -> None:
        """Load CTranslate2's model directory `encoder`; `compute_type` is what its weights are stored in."""
        self._encoder = load_encoder(encoder, compute_type=compute_type, threads=threads)
        self._alone = compute_type == "float32"
        self._threads = threads
        self._map = ThreadPoolExecutor(threads, "encoder").map if threads > 1 else map
        self._weight = np.ascontiguousarray(head.weight.T)  # (hidden, tags)
        self._bias = head.bias

    def emissions(self, batch: TokenBatch) -> FloatArray:
        """See `Engine`."""
        rows = len(batch.ids)
        parts = rows if self._alone else min(rows, self._threads)
        hidden = self._map(self._hidden, np.array_split(batch.ids, parts), np.array_split(batch.lengths, parts))
        # One product per row: a single one over all rows would round differently with their number.
        return np.stack([row @ self._weight for part in hidden for row in part]) + self._bias

    def _hidden(self, ids: IntArray, lengths: IntArray) -> FloatArray:
        """Return the encoder's output, shape (rows, width, hidden)."""
        view = ctranslate2.StorageView.from_array
        hidden: FloatArray = np.asarray(self._encoder.forward_batch(view(ids), view(lengths)).last_hidden_state)
        return hidden


def load_encoder(directory: Path, *, compute_type: str, threads: int) -> Any:
    """Load CTranslate2's model `directory`, to compute as many batches at once as there are `threads`, each in one.

    Takes what this processor and C library can do: wide instructions, and a heap that is kept.
    """
    if "avx512_vnni" in cpu_flags():  # CTranslate2 would stay with AVX2; processors with VNNI do not slow down for more
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")
    encoder = ctranslate2.Encoder(
        str(directory), device="cpu", compute_type=compute_type, inter_threads=threads, intra_threads=1
    )
    keep_heap()
    return encoder


def int8(directory: Path, threads: int) -> tuple[Model, CT2Engine]:
    """Open a serving directory's int8 encoder; raise `ModelError` for one that this processor would compute wrongly."""
    opened = model.read(directory, "ct2-int8")
    if overflows(opened.manifest.scale):
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
    return CT2Engine(directory / model.ENCODERS[name], opened.head, compute_type=_COMPUTE_TYPES[name], threads=threads)
