"""Exact span and type precision, recall and F1 against gold entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp.errors import GoldError
from nlp.gold import Gold
from nlp.types import Span

LENGTHS = (0, 25, 50, 100, 200)
"""Where the groups of texts by their length begin, in characters."""

_RESAMPLES, _SEED = 1000, 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Entities of one type: in the gold, predicted, and both."""

    gold: int
    predicted: int
    correct: int

    @property
    def precision(self) -> float:
        """The share of predicted entities that are right; 0 without any."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of gold entities that are found; 0 without any."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 when nothing is right."""
        return 2 * self.correct / (self.gold + self.predicted) if self.correct else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """The figures over all texts, per type, and what was left out because the other side has no such type.

    `low` and `high` bound the F1 of `micro` as `f1_interval` does.
    """

    micro: Counts
    low: float
    high: float
    types: dict[str, Counts]
    gold_left_out: dict[str, int]
    predicted_left_out: dict[str, int]


def evaluate(
    gold: Sequence[Gold],
    predicted: Sequence[Sequence[Span]],
    labels: Collection[str],
    *,
    gold_names: Mapping[str, str],
    predicted_names: Mapping[str, str],
    counted: Collection[str] | None = None,
) -> Report:
    """Compare predictions with gold, types renamed on either side first.

    `labels` are all that the model can predict. A type counts when the model can predict it and the gold has it, or,
    where only a part of the gold is given, when it is among those `counted` in the whole.
    """
    pairs = [
        (
            {(start, end, gold_names.get(name, name)) for start, end, name in document.entities},
            {(span.start, span.end, predicted_names.get(span.label, span.label)) for span in spans},
        )
        for document, spans in zip(gold, predicted, strict=True)
    ]
    texts = [tuple(map(_by_type, (expected, guessed, expected & guessed))) for expected, guessed in pairs]
    wanted, found, correct = (sum((text[side] for text in texts), Counter[str]()) for side in range(3))
    possible = {predicted_names.get(label, label) for label in labels}
    shared = sorted(set(wanted if counted is None else counted) & possible)
    types = {name: Counts(wanted[name], found[name], correct[name]) for name in shared}
    counts = np.array([[sum(side[name] for name in shared) for side in text] for text in texts], np.int64)
    low, high = f1_interval(counts.reshape(-1, 3))
    return Report(
        micro=Counts(*counts.reshape(-1, 3).sum(0).tolist()),
        low=low,
        high=high,
        types=types,
        gold_left_out={name: count for name, count in sorted(wanted.items()) if name not in types},
        predicted_left_out={name: count for name, count in sorted(found.items()) if name not in types},
    )


def require_shared(
    gold: Sequence[Gold], labels: Collection[str], *, gold_names: Mapping[str, str], predicted_names: Mapping[str, str]
) -> None:
    """Raise `GoldError` where the gold has entities, none of them of a type that the model can predict."""
    wanted = {gold_names.get(name, name) for document in gold for _, _, name in document.entities}
    possible = {predicted_names.get(label, label) for label in labels}
    if wanted and not wanted & possible:
        raise GoldError(
            f"the gold has the types {', '.join(sorted(wanted))}, the model {', '.join(sorted(possible))}; rename "
            f"those that mean the same, as with --map {min(wanted)}={min(possible)}"
        )


def by_length(
    gold: Sequence[Gold],
    predicted: Sequence[Sequence[Span]],
    measure: Callable[[Sequence[Gold], Sequence[Sequence[Span]]], Report],
) -> dict[int, Report]:
    """Return what `measure` says of the texts of each length, by the least number of characters in the group."""
    groups: dict[int, list[int]] = {least: [] for least in LENGTHS}
    for i, document in enumerate(gold):
        groups[max(least for least in LENGTHS if least <= len(document.text))].append(i)
    return {
        least: measure([gold[i] for i in those], [predicted[i] for i in those])
        for least, those in groups.items()
        if those
    }


def f1_interval(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the bounds of F1 for 95 of 100 samples of as many texts (bootstrap, 1,000 resamples, seeded).

    `counts` (texts, 3) has each text's entities: in the gold, predicted, and both.
    """
    if not len(counts):
        return 0.0, 0.0
    draw = np.random.default_rng(_SEED)
    f1 = [Counts(*counts[draw.integers(len(counts), size=len(counts))].sum(0).tolist()).f1 for _ in range(_RESAMPLES)]
    low, high = np.quantile(f1, [0.025, 0.975]).tolist()
    return low, high


def _by_type(entities: Collection[tuple[int, int, str]]) -> Counter[str]:
    return Counter(name for _, _, name in entities)
