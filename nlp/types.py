"""The values that move through the core: spans, windows, token batches, and the engine's port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """An entity found in a text: `text[start:end]`, offsets in Unicode code points, end exclusive.

    `score` is the probability, between 0 and 1, that the model gives to exactly this span and label.
    """

    start: int
    end: int
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """The next spans of the `document`-th text; `last` when there are no more to come."""

    document: int
    spans: list[Span]
    last: bool


@dataclass(frozen=True, slots=True)
class Window:
    """The characters `[start, stop)` of a document, of which `[own_start, own_stop)` take their emissions from here."""

    document: int
    start: int
    stop: int
    own_start: int
    own_stop: int


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Rows of token ids, one window each, padded to one width.

    `ids` has shape (rows, width); `lengths` has shape (rows,) and counts the tokens of a row, [CLS] and [SEP] included.
    """

    ids: IntArray
    lengths: IntArray
    windows: tuple[Window, ...]


class Engine(Protocol):
    """Scores token batches. The only code that knows a runtime.

    The emissions of a row may depend on the row and its width alone, never on its neighbours, to the last bit.
    """

    def emissions(self, batch: TokenBatch) -> FloatArray:
        """Return the score of every tag for every token, shape (rows, width, tags); padding holds anything."""
        ...
