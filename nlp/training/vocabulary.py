"""A vocabulary of single characters cut out of an encoder's, and the row of its embedding that each begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ASCII_TWINS = {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "—": "-", "–": "-", "…": "."}
_WIDE = 0xFEE0  # from a character of ASCII to its full-width form
_IDEOGRAPHS = range(0x4E00, 0xA000)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens, and for each the row of the encoder's embedding that it is a copy of."""

    tokens: tuple[str, ...]
    rows: tuple[int, ...]


def cut(tokens: Sequence[str], relatives: Callable[[str], Iterable[str]] | None) -> Vocabulary:
    """Keep the special tokens and every single character; add characters that have a known relative.

    Relatives are the ASCII twin of a quotation mark or dash, the other width, and with `relatives` the other script:
    RaNER reads a character at a time, so that word pieces are never looked up, and what is lacking is [UNK].
    """
    known = {token: row for row, token in enumerate(tokens)}
    kept = {token: known[token] for token in SPECIAL if token in known}
    kept |= {token: row for token, row in known.items() if len(token) == 1}
    added = {token: kept[twin] for token, twin in _twins() if token not in kept and twin in kept}
    if relatives is not None:
        for character in map(chr, _IDEOGRAPHS):
            if character not in kept and (twin := next((r for r in relatives(character) if r in kept), None)):
                added[character] = kept[twin]
    whole = kept | added
    return Vocabulary(tuple(whole), tuple(whole.values()))


def _twins() -> Iterable[tuple[str, str]]:
    yield from _ASCII_TWINS.items()
    for point in range(0x21, 0x7F):
        narrow, wide = chr(point).lower(), chr(point + _WIDE).lower()
        yield wide, narrow
        yield narrow, wide
