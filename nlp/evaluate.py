"""Exact span and type precision, recall and F1 against gold entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nlp.gold import Gold
from nlp.types import Span


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
    """The figures over all texts, per type, and what was left out because the other side has no such type."""

    micro: Counts
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
) -> Report:
    """Compare predictions with gold, types renamed on either side first.

    `labels` are all that the model can predict. A type counts when the model can predict it and the gold has it.
    """
    wanted, found = Counter[str](), Counter[str]()
    correct: Counter[str] = Counter()
    for document, spans in zip(gold, predicted, strict=True):
        expected = {(start, end, gold_names.get(name, name)) for start, end, name in document.entities}
        guessed = {(s.start, s.end, predicted_names.get(s.label, s.label)) for s in spans}
        wanted.update(name for _, _, name in expected)
        found.update(name for _, _, name in guessed)
        correct.update(name for _, _, name in expected & guessed)
    possible = {predicted_names.get(label, label) for label in labels}
    shared = sorted(set(wanted) & possible)
    types = {name: Counts(wanted[name], found[name], correct[name]) for name in shared}
    return Report(
        micro=Counts(*(sum(counts[name] for name in types) for counts in (wanted, found, correct))),
        types=types,
        gold_left_out={name: count for name, count in sorted(wanted.items()) if name not in types},
        predicted_left_out={name: count for name, count in sorted(found.items()) if name not in types},
    )
