"""Texts to spans: windows, token batches, emissions, one decode per text. Read it from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from nlp.batching import SPECIAL_TOKENS, by_width, longest_row, shared_out, stitch, token_batch, width_of
from nlp.crf import Crf
from nlp.decoder import Decoder, Decoding, Piece
from nlp.modelscope import ModelScopeDecoder
from nlp.tokenizer import Tokenizer
from nlp.types import Engine, Found, Span, TokenBatch, Window
from nlp.windows import windows

DEFAULT_WINDOW = 126
DEFAULT_OVERLAP = 30

Decode = Literal["strict", "modelscope"]
"""How tags are read as spans: closed by whatever does not continue them, or as ModelScope's pipeline does."""
_DECODERS: dict[Decode, type[Decoder]] = {"strict": Decoder, "modelscope": ModelScopeDecoder}


class Annotator:
    """Finds entities in texts of any length, in memory bounded by `batch_tokens`.

    The same text gives the same spans and scores, bit for bit, whatever else it is annotated with. `window` and
    `overlap` are in characters; `batch_tokens` bounds the padded tokens that the engine sees at once and may be
    changed at any time. Spans that score below `min_score` are left out; `types` are the labels that can be found;
    `threads` are those that the engine computes rows in. Not safe to share between threads.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        crf: Crf,
        *,
        decode: Decode = "strict",
        window: int = DEFAULT_WINDOW,
        overlap: int = DEFAULT_OVERLAP,
        batch_tokens: int,
        min_score: float = 0.0,
        threads: int = 1,
    ) -> None:
        self._engine, self._tokenizer, self._threads = engine, tokenizer, threads
        self._decoder = _DECODERS[decode](crf)
        self.types = crf.scheme.types
        self.window, self.overlap, self.batch_tokens = window, overlap, batch_tokens
        self._min_score = min_score

    def annotate(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return the spans of every text, in order, never overlapping."""
        results: list[list[Span]] = [[] for _ in texts]
        for step in self.iter_annotate(texts):
            for found in step:
                results[found.document] += found.spans
        return results

    def iter_annotate(self, texts: Sequence[str]) -> Iterator[list[Found]]:
        """Hand control back after every token batch, with what it brought to light in each of its texts."""
        cut = [self.windows(document, text) for document, text in enumerate(texts)]
        yield [Found(document, [], last=True) for document, its in enumerate(cut) if not its]
        decodings: dict[int, Decoding] = {}
        for batch in self._batches(texts, [window for its in cut for window in its]):
            pieces = {}
            ends = {window.document: window.own_stop for window in batch.windows}
            for document, emissions in stitch(batch, self._engine.emissions(batch)):
                if document not in decodings:
                    decodings[document] = self._decoder.begin()
                last = ends[document] == len(texts[document])
                pieces[document] = Piece(decodings[document], emissions, last)
            self._decoder.advance(list(pieces.values()))
            yield [self._found(document, piece) for document, piece in pieces.items()]
            for document, piece in pieces.items():
                if piece.last:
                    del decodings[document]

    def _found(self, document: int, piece: Piece) -> Found:
        spans = [span for span in piece.decoding.take_spans() if span.score >= self._min_score]
        return Found(document, spans, piece.last)

    @property
    def row_tokens(self) -> int:
        """Padded tokens of a full window's row: the least that a batch holds, whatever its budget."""
        return width_of(Window(0, 0, self.window, 0, self.window))

    def windows(self, document: int, text: str) -> list[Window]:
        """Return the windows that a text is read in."""
        return windows(document, len(text), self.window, self.overlap)

    def _batches(self, texts: Sequence[str], cut: Sequence[Window]) -> Iterator[TokenBatch]:
        for width, group in by_width(cut):
            done = 0
            while done < len(group):
                most = max(1, self.batch_tokens // width)  # read anew: the budget may shrink on the way
                rows = shared_out(len(group) - done, most, self._threads)
                yield token_batch(texts, group[done : done + rows], width, self._tokenizer)
                done += rows


def longest_window(max_length: int) -> int:
    """Return the most characters that a model of `max_length` tokens reads at once."""
    return longest_row(max_length) - SPECIAL_TOKENS
