"""Characters to token ids, one for one, as RaNER's preprocessor does it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from nlp.errors import ModelError
from nlp.types import IntArray

_CODE_POINTS = 0x110000


class Tokenizer:
    """Looks up the id of every character of a text; token i is character i, so offsets need no mapping.

    Each character is a word of its own: lower-cased and stripped of accents where the model says so, [UNK] when that
    leaves nothing, more than one character, or one that the vocabulary lacks.
    """

    def __init__(self, vocabulary: Sequence[str], *, lower_case: bool, strip_accents: bool) -> None:
        self._ids = {token: i for i, token in enumerate(vocabulary)}
        if missing := [name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if name not in self._ids]:
            raise ModelError(f"the vocabulary has no {', '.join(missing)}; expected a BERT vocabulary")
        self.pad, self.unknown = self._ids["[PAD]"], self._ids["[UNK]"]
        self.cls, self.sep = self._ids["[CLS]"], self._ids["[SEP]"]
        self._lower_case, self._strip_accents = lower_case, strip_accents
        # One slot a code point, 0 until it is first met, then id + 1. Untouched pages of zeros cost no memory.
        self._table = np.zeros(_CODE_POINTS, np.int32)

    def encode(self, text: str) -> IntArray:
        """Return the id of every character, shape (characters,). A lone surrogate is [UNK] like any unknown one."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        ids = self._table[points]
        if not ids.all():
            for point in np.unique(points[ids == 0]).tolist():
                self._table[point] = self._lookup(chr(point)) + 1
            ids = self._table[points]
        return ids - 1

    def _lookup(self, character: str) -> int:
        if character == "\ufffd" or unicodedata.category(character)[0] in "CZ":
            return self.unknown  # BERT drops controls, blanks and the replacement character; a dropped word is [UNK]
        if self._lower_case:
            character = character.lower()
        if self._strip_accents:
            decomposed = unicodedata.normalize("NFD", character)
            character = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
        return self._ids.get(character, self.unknown) if len(character) == 1 else self.unknown
