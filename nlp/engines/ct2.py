"""CTranslate2 on the CPU: the encoder in int8 or float32, the head in float32."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import ctranslate2
import numpy as np

from nlp import model
from nlp.engines.cpu import adds_pairs_in_16_bits, cpu_flags
from nlp.errors import ModelError
from nlp.model import Head, Model
from nlp.types import FloatArray, TokenBatch

_COMPUTE_TYPES = {"ct2-int8": "int8", "ct2-fp32": "float32"}
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


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
    if "avx512_vnni" in cpu_flags():  # CTranslate2 would stay with AVX2; processors with VNNI do not slow down for more
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")
    encoder = directory / model.ENCODERS[name]
    engine = CT2Engine(encoder, opened.head, compute_type=_COMPUTE_TYPES[name], threads=threads)
    _keep_heap()
    return engine


def _keep_heap() -> None:
    """Have glibc keep what a batch has freed for the next one.

    By itself it gives the top of the heap back each time, and faulting the pages in again took a quarter of the time.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_MMAP_THRESHOLD, 32 * 1024**2)
        mallopt(_M_TRIM_THRESHOLD, 64 * 1024**2)
