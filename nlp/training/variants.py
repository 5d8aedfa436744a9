"""The same text written otherwise: in another script or width, with other quotes, about other names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nlp.training.corpora import Document, Spans
from nlp.training.recipe import Variants
from nlp.training.scripts import Scripts

Names = Mapping[tuple[str, bool], Sequence[str]]
"""Distinct names by label, and by whether they have more than one character."""

_WIDEN = {point: point + 0xFEE0 for point in range(0x21, 0x7F)}
_NARROW = {wide: narrow for narrow, wide in _WIDEN.items()}
_QUOTES = tuple(
    str.maketrans("“”‘’「」『』\"'", marks)
    for marks in ("“”‘’“”‘’\"'", "\"\"''\"\"''\"'", "「」『』「」『』\"'", "＂＂＇＇＂＂＇＇＂＇")
)


def names_of(
    documents: Iterable[Document], gazetteers: Mapping[str, Iterable[str]]
) -> dict[tuple[str, bool], tuple[str, ...]]:
    """Collect the names of a corpus and of gazetteers, by label, each once: a rare one replaces as often as another."""
    found: dict[tuple[str, bool], dict[str, None]] = {}
    for document in documents:
        for start, end, label in document.spans:
            found.setdefault((label, end - start > 1), {})[document.text[start:end]] = None
    for label, listed in gazetteers.items():
        for name in listed:
            found.setdefault((label, len(name) > 1), {})[name] = None
    return {key: tuple(names) for key, names in found.items()}


def varied(
    document: Document, shares: Variants, names: Names, scripts: Scripts | None, draw: np.random.Generator
) -> Document:
    """Return a document varied by chance, its spans moved along."""
    if shares.replaced and document.spans:
        document = _replaced(document, shares.replaced, names, draw)
    text = document.text
    if scripts and draw.random() < shares.traditional:
        text = scripts.traditional(text, int(draw.integers(scripts.forms)))
    if draw.random() < shares.width:
        text = text.translate(_WIDEN if draw.random() < 0.5 else _NARROW)  # noqa: PLR2004 - either way
    if draw.random() < shares.quotes:
        text = text.translate(_QUOTES[int(draw.integers(len(_QUOTES)))])
    return Document(text, document.spans)


def _replaced(document: Document, share: float, names: Names, draw: np.random.Generator) -> Document:
    pieces, spans, done, length = [], [], 0, 0
    for start, end, label in document.spans:
        name = document.text[start:end]
        if draw.random() < share:
            others = names[label, end - start > 1]
            name = others[int(draw.integers(len(others)))]
        pieces += [document.text[done:start], name]
        begin = length + start - done
        length = begin + len(name)
        spans.append((begin, length, label))
        done = end
    return Document("".join([*pieces, document.text[done:]]), _tuple(spans))


def _tuple(spans: Iterable[tuple[int, int, str]]) -> Spans:
    return tuple(spans)
