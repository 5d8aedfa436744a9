"""Whether scores mean what they say: of the spans that score 0.8, eight in ten should be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nlp.gold import Gold
from nlp.types import Span

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The spans that score from `low` up to `high`: their number, average score, and share of right ones."""

    low: float
    high: float
    spans: int
    score: float
    right: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The bins that hold spans, and the expected calibration error (Naeini et al., 2015).

    That is the mean, over all spans, of the distance between their bin's average score and its share of right ones.
    """

    bins: tuple[Bin, ...]
    error: float


def calibrate(
    gold: Sequence[Gold],
    predicted: Sequence[Sequence[Span]],
    labels: Collection[str],
    *,
    gold_names: Mapping[str, str],
    predicted_names: Mapping[str, str],
) -> Calibration:
    """Sort the predicted spans of types that the gold has (both renamed first) into bins of equal width by score."""
    known = {gold_names.get(name, name) for document in gold for _, _, name in document.entities}
    sums = [[0.0, 0.0, 0.0] for _ in range(BINS)]  # spans, scores, right ones
    for document, spans in zip(gold, predicted, strict=True):
        expected = {(start, end, gold_names.get(name, name)) for start, end, name in document.entities}
        for span in spans:
            name = predicted_names.get(span.label, span.label)
            if name in known and span.label in labels:
                bin_ = sums[min(int(span.score * BINS), BINS - 1)]
                bin_[0] += 1
                bin_[1] += span.score
                bin_[2] += (span.start, span.end, name) in expected
    bins = tuple(
        Bin(i / BINS, (i + 1) / BINS, int(count), scores / count, right / count)
        for i, (count, scores, right) in enumerate(sums)
        if count
    )
    total = sum(each.spans for each in bins)
    return Calibration(bins, sum(each.spans * abs(each.score - each.right) for each in bins) / total if total else 0.0)
