"""Holds int8 against the float32 that it was made from, on texts of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nlp import model
from nlp.convert import Scale, convert
from nlp.errors import ModelError, VerificationError
from nlp.evaluate import Counts, f1_interval
from nlp.load import load
from nlp.model import Manifest
from nlp.types import Engine, FloatArray, Span, TokenBatch

_INT8, _FP32 = "ct2-int8", "ct2-fp32"
_SAME = ("max_length", "lower_case", "strip_accents", "layers", "hidden", "heads", "intermediate")
_GROUP_TEXTS = 64
_BATCH_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Difference:
    """A text that int8 reads otherwise: the spans that float32 alone finds, and those that int8 alone finds."""

    text: str
    lost: tuple[Span, ...]
    added: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What int8 changes over some texts.

    `error` is the root mean square of what emissions differ by, over the standard deviation of float32's; `agreement`
    the share of characters whose highest tag is the same; `entities` counts float32's as gold. `low` and `high` bound
    their F1 as `f1_interval` does.
    """

    texts: int
    characters: int
    error: float
    agreement: float
    entities: Counts
    low: float
    high: float
    differences: tuple[Difference, ...]

    def require(self, threshold: float) -> None:
        """Raise `VerificationError` when the entities' F1 is below `threshold`."""
        if self.entities.f1 < threshold:
            raise VerificationError(
                f"int8's entities against float32's have F1 {self.entities.f1:.2%} on these texts; expected at least "
                f"{threshold:.2%} (--threshold). `model convert --quantization fp32`, or --fallback fp32, keeps float32"
            )


def compare(int8: Path, fp32: Path, texts: Sequence[str], *, threads: int = 1) -> Comparison:
    """Compare the int8 encoder of one serving directory with the float32 encoder of another, or of the same.

    Raises `ModelError` when the two are not of one model, and `VerificationError` when float32 finds no entity.
    """
    if (differing := _differing(model.read_manifest(int8), model.read_manifest(fp32))) is not None:
        raise ModelError(f"{int8} and {fp32} have other {differing}; name the checkpoint that the model was made from")
    recorders = _Recorder(), _Recorder()
    ours, theirs = (
        load(directory, engine=name, threads=threads, batch_tokens=_BATCH_TOKENS, min_score=0.0, wrap=recorder.around)
        for directory, name, recorder in zip((int8, fp32), (_INT8, _FP32), recorders, strict=True)
    )
    sums = _Sums()
    found: list[tuple[list[Span], list[Span]]] = []
    for start in range(0, len(texts), _GROUP_TEXTS):
        group = texts[start : start + _GROUP_TEXTS]
        found += zip(ours.annotate(group), theirs.annotate(group), strict=True)
        for pair in zip(*(recorder.taken() for recorder in recorders), strict=True):
            sums.add(*pair)
    return _comparison(texts, found, sums)


@contextmanager
def float32_of(directory: Path, checkpoint: Path | None) -> Iterator[Path]:
    """Give a serving directory that holds float32: `directory` if it does, else one made from the checkpoint."""
    held = model.read_manifest(directory).engines
    if _FP32 in held:
        yield directory
        return
    if checkpoint is None:
        raise ModelError(f"{directory} holds no float32 encoder; name the checkpoint it was made from: --checkpoint")
    with TemporaryDirectory(prefix="raner-stream-verify-") as made:
        convert(checkpoint, Path(made) / "fp32", quantization="fp32")
        yield Path(made) / "fp32"


def compare_conversion(checkpoint: Path, texts: Sequence[str], *, scale: Scale, threads: int = 1) -> Comparison:
    """Compare what a checkpoint gives in int8 with what it gives in float32, writing neither to stay."""
    with TemporaryDirectory(prefix="raner-stream-verify-") as made:
        convert(checkpoint, Path(made) / "both", quantization="both", scale=scale)
        return compare(Path(made) / "both", Path(made) / "both", texts, threads=threads)


def _differing(one: Manifest, other: Manifest) -> str | None:
    if one.labels != other.labels:
        return "labels"
    if one.files.get(model.VOCABULARY) != other.files.get(model.VOCABULARY):
        return "vocabularies"
    pairs = ((name, getattr(one, name), getattr(other, name)) for name in _SAME)
    return next((f"{name} ({ours} and {theirs})" for name, ours, theirs in pairs if ours != theirs), None)


class _Recorder:
    """Keeps the emissions of every character that an engine scores, until they are taken."""

    def __init__(self) -> None:
        self._rows: list[FloatArray] = []

    def around(self, engine: Engine) -> Engine:
        self._engine = engine
        return self

    def emissions(self, batch: TokenBatch) -> FloatArray:
        scores = self._engine.emissions(batch)
        self._rows += [row[1 : length - 1] for row, length in zip(scores, batch.lengths, strict=True)]
        return scores

    def taken(self) -> list[FloatArray]:
        rows, self._rows = self._rows, []
        return rows


class _Sums:
    """Adds up what the emissions of both differ by, shapes (characters, tags)."""

    def __init__(self) -> None:
        self._characters = self._equal = self._count = 0
        self._squares = self._sum = self._reference_squares = 0.0

    def add(self, int8: FloatArray, fp32: FloatArray) -> None:
        reference = fp32.astype(np.float64)
        self._characters += len(int8)
        self._equal += int((int8.argmax(1) == fp32.argmax(1)).sum())
        self._count += fp32.size
        self._squares += float(((int8 - reference) ** 2).sum())
        self._sum += float(reference.sum())
        self._reference_squares += float((reference**2).sum())

    @property
    def error(self) -> float:
        variance = self._reference_squares / self._count - (self._sum / self._count) ** 2
        return float((self._squares / self._count / variance) ** 0.5)

    @property
    def agreement(self) -> float:
        return self._equal / self._characters


def _comparison(texts: Sequence[str], found: Sequence[tuple[list[Span], list[Span]]], sums: _Sums) -> Comparison:
    counts = np.zeros((len(texts), 3), np.int64)  # float32's, int8's, both's
    differences = []
    for i, (int8, fp32) in enumerate(found):
        ours, theirs = ({(span.start, span.end, span.label): span for span in spans} for spans in (int8, fp32))
        counts[i] = len(theirs), len(ours), len(ours.keys() & theirs.keys())
        if ours.keys() != theirs.keys():
            lost = tuple(span for place, span in theirs.items() if place not in ours)
            added = tuple(span for place, span in ours.items() if place not in theirs)
            differences.append(Difference(texts[i], lost, added))
    if not counts[:, 0].any():
        raise VerificationError(f"float32 finds no entity in {len(texts):,} texts; expected texts that hold names")
    low, high = f1_interval(counts)
    total = Counts(*counts.sum(0).tolist())
    characters = sum(map(len, texts))
    return Comparison(len(texts), characters, sums.error, sums.agreement, total, low, high, tuple(differences))
