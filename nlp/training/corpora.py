"""Reads the corpora of a recipe: labelled texts to train on, and dev sets that are never trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlp.errors import TrainingError
from nlp.gold import Gold, read_gold
from nlp.training.recipe import CorpusRecipe, Recipe

Spans = tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A text and its entities as (start, end, label), in order, not overlapping."""

    text: str
    spans: Spans


@dataclass(frozen=True, slots=True)
class Corpus:
    """What one corpus gives: documents to train on, its dev set with the model's labels, and what was dropped."""

    name: str
    train: tuple[Document, ...]
    dev: tuple[Gold, ...]
    repeat: float
    in_dev_sets: int  # texts left out of `train` because some dev set has them
    twice: int  # texts left out because they stand in `train` already


def read_corpora(recipe: Recipe) -> list[Corpus]:
    """Read all corpora; no text of any dev set, this corpus's or another's, is left in any train set.

    Raises `TrainingError` when nothing is left to train on, or a corpus has entities, and none of a type that is read.
    """
    split = [_split(corpus) for corpus in recipe.corpora]
    measured = {gold.text for _, dev in split for gold in dev}
    corpora = [
        _corpus(corpus, train, dev, measured, recipe.labels)
        for corpus, (train, dev) in zip(recipe.corpora, split, strict=True)
    ]
    if not any(corpus.train and corpus.repeat for corpus in corpora):
        left_out = sum(corpus.in_dev_sets for corpus in corpora)
        raise TrainingError(
            f"nothing to train on: {left_out:,} texts of the train files stand in dev sets or are empty, and no other "
            "has a repeat above 0"
        )
    return corpora


def _split(corpus: CorpusRecipe) -> tuple[list[Gold], list[Gold]]:
    train = [gold for path in corpus.train for gold in read_gold(path)]
    train += [Gold(text, frozenset()) for path in corpus.raw for text in read_lines(path)]
    dev = [gold for path in corpus.dev for gold in read_gold(path)]
    if corpus.hold_out:
        if corpus.hold_out >= len(train):
            raise TrainingError(
                f"[corpora.{corpus.name}] hold_out is {corpus.hold_out}; its train files have {len(train):,} texts"
            )
        draw = np.random.default_rng(corpus.hold_out_seed)
        first = int(draw.integers(len(train) - corpus.hold_out + 1))
        dev += train[first : first + corpus.hold_out]
        del train[first : first + corpus.hold_out]
    return train, dev


def read_lines(path: Path) -> list[str]:
    """Read the lines of a file that are not blank; raise `TrainingError` where it cannot be read."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read as UTF-8 text: {error}") from error


def _corpus(
    corpus: CorpusRecipe, train: Sequence[Gold], dev: Sequence[Gold], measured: Collection[str], labels: Sequence[str]
) -> Corpus:
    names = corpus.labels or {label: label for label in labels}
    types = {name for gold in (*train, *dev) for _, _, name in gold.entities}
    if types and not types & names.keys():
        raise TrainingError(
            f"[corpora.{corpus.name}] has entities of the types {', '.join(sorted(types))}, and none of "
            f"{', '.join(names)}; say what they become: labels = {{ {min(types)} = {labels[0]!r}, … }}"
        )
    allowed = [gold for gold in train if gold.text and gold.text not in measured]
    distinct = {gold.text: gold for gold in allowed}
    return Corpus(
        name=corpus.name,
        train=tuple(Document(gold.text, _labelled(gold, names)) for gold in distinct.values()),
        dev=tuple(Gold(gold.text, frozenset(_labelled(gold, names))) for gold in dev),
        repeat=corpus.repeat,
        in_dev_sets=len(train) - len(allowed),
        twice=len(allowed) - len(distinct),
    )


def _labelled(gold: Gold, names: Mapping[str, str]) -> Spans:
    """Return the spans with the model's labels, in order; of two that overlap the longer one."""
    mapped = ((start, end, names[name]) for start, end, name in gold.entities if name in names)
    kept: list[tuple[int, int, str]] = []
    for span in sorted(mapped, key=lambda span: (span[0] - span[1], span)):
        if all(span[1] <= start or end <= span[0] for start, end, _ in kept):
            kept.append(span)
    return tuple(sorted(kept))
