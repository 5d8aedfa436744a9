"""An engine that keeps what it scored, so that one run gives emissions and spans."""

from __future__ import annotations

from nlp.types import Engine, FloatArray, TokenBatch


class Recorder:
    """Keeps ids (characters,) and emissions (characters, tags) of every document that fits a window."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.ids: dict[int, list[int]] = {}
        self.scores: dict[int, FloatArray] = {}

    def emissions(self, batch: TokenBatch) -> FloatArray:
        """See `Engine`."""
        scores = self._engine.emissions(batch)
        for row, window in enumerate(batch.windows):
            inner = slice(1, 1 + window.stop - window.start)
            self.ids[window.document] = batch.ids[row, inner].tolist()
            self.scores[window.document] = scores[row, inner].copy()
        return scores
