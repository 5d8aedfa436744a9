"""Characters to token ids, one for one, as RaNER's preprocessor does it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from nlp.errors import ModelError
from nlp.types import IntArray

_CODE_POINTS = 0x110000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class Tokenizer:
    """Looks up the id of every character of a text; token i is character i, so offsets need no mapping.

    Each character is a word of its own: composed (NFC), then lower-cased and stripped of accents where the model says
    so, [UNK] when that leaves nothing, more than one character, or one that the vocabulary lacks.
    """

    def __init__(self, vocabulary: Sequence[str], *, lower_case: bool, strip_accents: bool) -> None:
        special = {token: i for i, token in enumerate(vocabulary) if token in SPECIAL}
        if missing := [token for token in SPECIAL if token not in special]:
            raise ModelError(f"the vocabulary has no {', '.join(missing)}; expected a BERT vocabulary")
        self.pad, self.unknown, self.cls, self.sep = (special[token] for token in SPECIAL)
        self._lower_case, self._strip_accents = lower_case, strip_accents
        # One slot a code point: id + 1, and 0 for none. Untouched pages of zeros cost no memory, a dictionary 2 MiB.
        self._vocabulary = np.zeros(_CODE_POINTS, np.int32)
        for i, token in enumerate(vocabulary):
            if len(token) == 1:
                self._vocabulary[ord(token)] = i + 1
        self._table = np.zeros(_CODE_POINTS, np.int32)  # the same for what texts hold, filled as it is met

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
        character = unicodedata.normalize("NFC", character)
        if self._lower_case:
            character = character.lower()
        if self._strip_accents:
            decomposed = unicodedata.normalize("NFD", character)
            character = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
        known = int(self._vocabulary[ord(character)]) if len(character) == 1 else 0
        return known - 1 if known else self.unknown
