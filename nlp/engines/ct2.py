"""CTranslate2 on the CPU: the encoder in int8, the head in float32."""

from __future__ import annotations

from pathlib import Path

import ctranslate2
import numpy as np

from nlp.types import FloatArray, TokenBatch


class CT2Engine:
    """Runs the encoder of a serving directory.

    CTranslate2 leaves padding out of its matrix products and quantises activations per token, so a row's result
    depends on the row and its width only.
    """

    def __init__(self, encoder: Path, weight: FloatArray, bias: FloatArray, *, threads: int) -> None:
        """Load CTranslate2's model directory `encoder`; the head has `weight` (tags, hidden) and `bias` (tags,)."""
        self._encoder = ctranslate2.Encoder(str(encoder), device="cpu", compute_type="int8", intra_threads=threads)
        self._weight = np.ascontiguousarray(weight.T)  # (hidden, tags)
        self._bias = bias

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
