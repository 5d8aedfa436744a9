"""Spans as ModelScope's pipeline reads them from tags, defects and all, for those who change over step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlp.crf import NEIGHBOURHOOD, Scores
from nlp.decoder import Decoder, Decoding, Piece
from nlp.types import Span


@dataclass(slots=True)
class OpenDecoding(Decoding):
    """A text on its way, and the span that is still open in it: an O does not close one."""

    open: Span | None = None


class ModelScopeDecoder(Decoder):
    """Reads the one best path as `TokenClassificationPipeline._chunk_process` of ModelScope 1.40.2 does.

    An I or E opens a span where none is open; O closes nothing, nor does another label; the label is the first tag's.
    The score is the soft-max of the first tag's emission, which knows nothing of the transitions.
    """

    def begin(self) -> OpenDecoding:
        """Begin a text."""
        new = super().begin()
        return OpenDecoding(new.alpha, new.emissions, new.pointers)

    def advance(self, pieces: Sequence[Piece]) -> None:
        """Take one piece of each of several texts; what gets decided is appended to their `spans`."""
        self._follow(pieces)
        for piece in pieces:
            decoding = piece.decoding
            assert isinstance(decoding, OpenDecoding), "begun by this class"
            for i, tag in enumerate(decoding.tags):
                self._read(decoding, decoding.origin + i, tag, decoding.emissions[NEIGHBOURHOOD + i])
            if piece.last:
                _close(decoding)
            decoding.origin += len(decoding.tags)
            decoding.emissions = decoding.emissions[len(decoding.tags) :].copy()
            decoding.tags = []

    def _read(self, decoding: OpenDecoding, place: int, tag: int, emissions: Scores) -> None:
        prefix, _, label = self._crf.scheme.tags[tag].partition("-")
        if prefix in ("B", "S"):
            _close(decoding)
        if prefix in ("B", "I", "E", "S"):
            begun = decoding.open or Span(place, place, label, _soft_max(emissions, tag))
            decoding.open = Span(begun.start, place + 1, begun.label, begun.score)
        if prefix in ("E", "S"):
            _close(decoding)


def _close(decoding: OpenDecoding) -> None:
    if decoding.open is not None:
        decoding.spans.append(decoding.open)
        decoding.open = None


def _soft_max(emissions: Scores, tag: int) -> float:
    weights = np.exp(emissions - emissions.max())
    return float(weights[tag] / weights.sum())
