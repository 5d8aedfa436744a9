"""Windows into token batches: rows of one fixed width, a bounded number of padded tokens at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from nlp.tokenizer import Tokenizer
from nlp.types import FloatArray, TokenBatch, Window

WIDTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""The widths a row may have. It takes the first that holds it, so its width depends on its own length only: a quantised
engine gives other bits at another width, and the same text must give the same bits in any company."""

SPECIAL_TOKENS = 2  # [CLS] and [SEP]


def width_of(window: Window) -> int:
    """Return the width, in tokens, of a window's row."""
    tokens = window.stop - window.start + SPECIAL_TOKENS
    return next((width for width in WIDTHS if width >= tokens), tokens)


def longest_row(max_length: int) -> int:
    """Return the most tokens that a row may hold for its width to be within `max_length`, 0 if none is."""
    return max_length if max_length > WIDTHS[-1] else max((w for w in WIDTHS if w <= max_length), default=0)


def by_width(windows: Sequence[Window]) -> Iterator[tuple[int, list[Window]]]:
    """Yield (width, its windows), widest first, so that a text's windows come in order (only its last is shorter)."""
    ordered = sorted(windows, key=lambda window: -width_of(window))  # stable
    for width, group in groupby(ordered, key=width_of):
        yield width, list(group)


def shared_out(rows: int, most: int, threads: int) -> int:
    """Return how many of `rows` go into the next batch, at most `most`: batches alike, and the threads' shares too."""
    if most > threads:
        most -= most % threads
    batches = -(-rows // most)
    even = -(-rows // (batches * threads)) * threads
    return min(rows, most, even)


def token_batch(texts: Sequence[str], windows: Sequence[Window], width: int, tokenizer: Tokenizer) -> TokenBatch:
    """Encode windows of one width; `windows[i].document` indexes `texts`."""
    ids = np.full((len(windows), width), tokenizer.pad, np.int32)
    lengths = np.array([w.stop - w.start + SPECIAL_TOKENS for w in windows], np.int32)
    for row, window in enumerate(windows):
        end = lengths[row] - 1
        ids[row, 0], ids[row, end] = tokenizer.cls, tokenizer.sep
        ids[row, 1:end] = tokenizer.encode(texts[window.document][window.start : window.stop])
    return TokenBatch(ids, lengths, tuple(windows))


def stitch(batch: TokenBatch, emissions: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Yield (document, emissions (tokens, tags)) per document of a batch, each row giving the characters it owns."""
    rows = zip(batch.windows, emissions, strict=True)
    for document, group in groupby(rows, key=lambda row: row[0].document):
        yield (
            document,
            np.concatenate(
                [row[1 + window.own_start - window.start : 1 + window.own_stop - window.start] for window, row in group]
            ),
        )
