"""Documents to rows of ids and tags, and rows to batches of about one length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nlp.batching import SPECIAL_TOKENS
from nlp.tokenizer import Tokenizer
from nlp.training.corpora import Corpus, Document, read_lines
from nlp.training.recipe import Recipe, conventions
from nlp.training.scripts import Scripts
from nlp.training.variants import Names, names_of, varied

Ids = NDArray[np.int64]
UNLABELLED = -1
_POOL = 50  # batches whose rows are sorted by length together: little padding, and still another mix every epoch


@dataclass(frozen=True, slots=True)
class Row:
    """The ids (tokens,) with [CLS] and [SEP], the tags (tokens - 2,) of what lies between, and the convention.

    The tags of a row that nobody labelled mean nothing, and its convention is `UNLABELLED`.
    """

    ids: Ids
    tags: Ids
    convention: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded to one width. `ids` (rows, width), `tags` (rows, width - 2), `lengths` (rows,) of the tags."""

    ids: Ids
    tags: Ids
    lengths: Ids
    conventions: Ids


class Rows:
    """Makes the batches of an epoch, the same ones for the same seed and epoch, so that a run can go on inside it."""

    def __init__(
        self,
        recipe: Recipe,
        corpora: Sequence[Corpus],
        tokenizer: Tokenizer,
        tags: Sequence[str],
        scripts: Scripts | None,
    ) -> None:
        self._recipe, self._corpora, self._tokenizer, self._scripts = recipe, corpora, tokenizer, scripts
        self._tags = {tag: i for i, tag in enumerate(tags)}
        numbers = {name: i for i, name in enumerate(conventions(recipe))}
        self._conventions = [
            UNLABELLED if corpus.raw else numbers[corpus.convention or corpus.name] for corpus in recipe.corpora
        ]
        gazetteers = {label: read_lines(path) for label, path in recipe.variants.gazetteers.items()}
        self._names: list[Names] = [names_of(corpus.train, gazetteers) for corpus in corpora]

    def epoch(self, number: int) -> list[Batch]:
        """Return the batches of an epoch, counted from 0."""
        draw = np.random.default_rng((self._recipe.seed, number))
        rows = [row for i in range(len(self._corpora)) for row in self._rows(i, draw)]
        order = draw.permutation(len(rows))
        return batches([rows[i] for i in order], self._recipe.batch_tokens, self._tokenizer.pad, draw)

    def _rows(self, corpus: int, draw: np.random.Generator) -> Iterator[Row]:
        drawn = list(_drawn(self._corpora[corpus], draw))
        changed = (varied(d, self._recipe.variants, self._names[corpus], self._scripts, draw) for d in drawn)
        for document, window in joined(changed, self._recipe.windows, self._recipe.joined, draw):
            for piece in pieces(document, window):
                yield self._row(piece, self._conventions[corpus], draw)

    def _row(self, document: Document, convention: int, draw: np.random.Generator) -> Row:
        ids = self._tokenizer.encode(document.text).astype(np.int64)
        if share := self._recipe.variants.unknown:
            ids[draw.random(len(ids)) < share] = self._tokenizer.unknown
        whole = np.concatenate(([self._tokenizer.cls], ids, [self._tokenizer.sep]))
        return Row(whole, tags_of(document, self._tags), convention)


def tags_of(document: Document, numbers: dict[str, int]) -> Ids:
    """Return the BIOES tag of every character, shape (characters,)."""
    tags = np.full(len(document.text), numbers["O"], np.int64)
    for start, end, label in document.spans:
        if end - start == 1:
            tags[start] = numbers[f"S-{label}"]
        else:
            tags[start:end] = numbers[f"I-{label}"]
            tags[start], tags[end - 1] = numbers[f"B-{label}"], numbers[f"E-{label}"]
    return tags


def joined(
    documents: Iterator[Document], windows: Sequence[int], share: float, draw: np.random.Generator
) -> Iterator[tuple[Document, int]]:
    """Yield documents with the window to read each in, a `share` of them with the next ones behind, up to it."""
    for document in documents:
        window = windows[int(draw.integers(len(windows)))]
        whole = document
        if draw.random() < share:
            while len(whole.text) < window and (following := next(documents, None)) is not None:
                moved = ((a + len(whole.text), b + len(whole.text), label) for a, b, label in following.spans)
                whole = Document(whole.text + following.text, (*whole.spans, *moved))
        yield whole, window


def pieces(document: Document, window: int) -> Iterator[Document]:
    """Cut a document at the borders of windows; a border inside an entity moves to its start, as far as that helps."""
    borders = [0]
    while borders[-1] + window < len(document.text):
        border = borders[-1] + window
        inside = (start for start, end, _ in document.spans if borders[-1] < start < border < end)
        borders.append(next(inside, border))
    for start, stop in pairwise([*borders, len(document.text)]):
        spans = (
            (max(a, start) - start, min(b, stop) - start, name)
            for a, b, name in document.spans
            if a < stop and b > start
        )
        yield Document(document.text[start:stop], tuple(spans))


def batches(rows: Sequence[Row], tokens: int, pad: int, draw: np.random.Generator) -> list[Batch]:
    """Put rows of about one length together, at most `tokens` padded tokens a batch (one row at the least)."""
    cut: list[list[Row]] = []
    ends = np.cumsum([len(row.ids) for row in rows]) // (_POOL * tokens)
    for pool in range(int(ends[-1]) + 1 if len(rows) else 0):
        first, last = np.searchsorted(ends, (pool, pool + 1))
        cut += _grouped(rows[first:last], tokens)
    return [padded(cut[i], pad) for i in draw.permutation(len(cut))]


def padded(rows: Sequence[Row], pad: int) -> Batch:
    """Stack rows; what is padded is `pad` among the ids and 0 among the tags."""
    width = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), width), pad, np.int64)
    tags = np.zeros((len(rows), width - SPECIAL_TOKENS), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        tags[i, : len(row.tags)] = row.tags
    return Batch(ids, tags, np.array([len(row.tags) for row in rows]), np.array([row.convention for row in rows]))


def _grouped(rows: Sequence[Row], tokens: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if group and (len(group) + 1) * len(row.ids) > tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _drawn(corpus: Corpus, draw: np.random.Generator) -> Iterator[Document]:
    """Yield the documents of an epoch in their order: 2.5 times each is twice all, and then a half of them."""
    whole, rest = divmod(corpus.repeat, 1)
    for _ in range(int(whole)):
        yield from corpus.train
    if rest:
        yield from (document for document in corpus.train if draw.random() < rest)
