"""From emissions to spans while a text is still being read, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nlp.crf import NEIGHBOURHOOD, Backpointers, Crf, Place, Scores
from nlp.labels import MAX_SPAN
from nlp.types import FloatArray, Span


@dataclass(slots=True)
class Decoding:
    """A text on its way: what is decided but not yet scored, and what is not yet decided.

    `tags[0]` is the tag of character `origin`; `emissions[0]` belongs to the token `NEIGHBOURHOOD` before that.
    """

    alpha: Scores
    emissions: Scores
    pointers: Backpointers
    tags: list[int] = field(default_factory=list)
    origin: int = 0
    spans: list[Span] = field(default_factory=list)

    def take_spans(self) -> list[Span]:
        """Return the spans found since the last call."""
        spans, self.spans = self.spans, []
        return spans


@dataclass(frozen=True, slots=True)
class Piece:
    """The next emissions, shape (tokens, tags), of one text; `last` when nothing follows."""

    decoding: Decoding
    emissions: FloatArray
    last: bool


class Decoder:
    """Decodes many texts side by side, each in as many pieces as it comes in.

    One Viterbi runs over the whole of each text. Surviving paths merge within a few tokens, so tags are decided and
    spans scored as the pieces come, and only the undecided tail and a neighbourhood of emissions are kept.
    """

    def __init__(self, crf: Crf) -> None:
        self._crf = crf

    def begin(self) -> Decoding:
        """Begin a text."""
        no_tokens = np.zeros((0, self._crf.edge))
        return Decoding(
            alpha=self._crf.initial(),
            emissions=self._crf.padded(no_tokens.astype(np.float32), NEIGHBOURHOOD, 0),
            pointers=np.zeros((0, self._crf.edge + 1), np.int16),
        )

    def advance(self, pieces: Sequence[Piece]) -> None:
        """Take one piece of each of several texts; what gets decided is appended to their `spans`."""
        self._follow(pieces)
        found = [(piece.decoding, span, place) for piece in pieces for span, place in self._settled(piece)]
        scores = self._crf.span_scores([place for _, _, place in found])
        for (decoding, span, _), score in zip(found, scores, strict=True):
            decoding.spans.append(Span(span.start, span.end, span.label, score))

    def _follow(self, pieces: Sequence[Piece]) -> None:
        """Take the best paths forward, and decide the tags that they agree on."""
        steps = [self._crf.padded(piece.emissions, 0, int(piece.last)) for piece in pieces]
        alphas, pointers = self._crf.viterbi([piece.decoding.alpha for piece in pieces], steps)
        for piece, alpha, new in zip(pieces, alphas, pointers, strict=True):
            self._decide(piece, alpha, new)

    def _decide(self, piece: Piece, alpha: Scores, pointers: Backpointers) -> None:
        decoding = piece.decoding
        decoding.alpha = alpha
        tags, decoding.pointers = self._crf.decided(np.concatenate([decoding.pointers, pointers]), ended=piece.last)
        decoding.tags += tags[:-1] if piece.last else tags  # the last is the edge behind the text
        after = NEIGHBOURHOOD if piece.last else 0
        decoding.emissions = np.concatenate([decoding.emissions, self._crf.padded(piece.emissions, 0, after)])

    def _settled(self, piece: Piece) -> list[tuple[Span, Place]]:
        """Return the spans whose end and neighbourhood are known, and let go of what lies before the rest."""
        decoding, settled = piece.decoding, []
        keep = len(decoding.tags)
        for start, end, label in self._crf.scheme.runs(np.array(decoding.tags, np.int16)):
            stop = end + 2 * NEIGHBOURHOOD
            if end - start > MAX_SPAN:
                continue  # no span; if it goes on, the tags to come continue nothing, and open nothing
            ended = piece.last or end < len(decoding.tags)
            if not ended or stop > len(decoding.emissions):
                keep = start
                break
            span = Span(decoding.origin + start, decoding.origin + end, label, 0.0)
            first = NEIGHBOURHOOD
            place = Place(decoding.emissions[start:stop], first, first + end - start, label)
            settled.append((span, place))
        decoding.tags = decoding.tags[keep:]
        decoding.emissions = decoding.emissions[keep:].copy()
        decoding.origin += keep
        return settled
