"""Engines and CRFs made for tests: what they score is known, so what must come out is too."""

from __future__ import annotations

import numpy as np

from nlp.annotator import Annotator
from nlp.crf import Crf
from nlp.labels import Scheme
from nlp.tokenizer import Tokenizer
from nlp.types import FloatArray, TokenBatch

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
BIOES = ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-ORG", "I-ORG", "E-ORG", "S-ORG")
ALPHABET = "甲乙丙丁戊己庚辛壬癸子丑寅卯"
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *ALPHABET)


def random_crf(seed: int, tags: tuple[str, ...]) -> Crf:
    """Return a CRF with transitions drawn from a normal distribution."""
    draw = np.random.default_rng(seed)
    n = len(tags)
    start, end, transitions = (draw.normal(0, 1.5, shape).astype(np.float32) for shape in (n, n, (n, n)))
    return Crf.of(start, end, transitions, Scheme.of(tags))


def tokenizer() -> Tokenizer:
    return Tokenizer(VOCABULARY, lower_case=True, strip_accents=True)


class ContextFreeEngine:
    """Scores a token by its id alone."""

    def __init__(self, seed: int, tags: int) -> None:
        self._scores = np.random.default_rng(seed).normal(0, 2, (len(VOCABULARY), tags)).astype(np.float32)

    def emissions(self, batch: TokenBatch) -> FloatArray:
        return self._scores[batch.ids]


class WidthEngine(ContextFreeEngine):
    """Scores a token by its id and by the width of its row, as a quantised runtime may in its last bits."""

    def emissions(self, batch: TokenBatch) -> FloatArray:
        return super().emissions(batch) * np.float32(1 + batch.ids.shape[1] / 1000)


class PlaceEngine:
    """Scores a token with the start of its window and its place in it: what is stitched tells where it came from."""

    def emissions(self, batch: TokenBatch) -> FloatArray:
        rows, width = batch.ids.shape
        starts = np.array([[window.start] * width for window in batch.windows])
        places = np.tile(np.arange(width) - 1, (rows, 1))  # [CLS] comes first
        return np.stack([starts, places], axis=2).astype(np.float32)


def context_free_annotator(seed: int, tags: tuple[str, ...], window: int, overlap: int, budget: int = 64) -> Annotator:
    engine = ContextFreeEngine(seed, len(tags))
    crf = random_crf(seed + 1, tags)
    return Annotator(engine, tokenizer(), crf, window=window, overlap=overlap, batch_tokens=budget)


def spelling_annotator(window: int, overlap: int) -> Annotator:
    """Return an annotator to which 甲 begins a name, 乙 goes on with it, and everything else stands outside."""
    tags = ("O", "B-PER", "I-PER")
    nothing = np.zeros(3, np.float32)
    crf = Crf.of(nothing, nothing, np.zeros((3, 3), np.float32), Scheme.of(tags))
    vocabulary = tokenizer()

    class SpellingEngine:
        def emissions(self, batch: TokenBatch) -> FloatArray:
            first, second = vocabulary.encode("甲乙")
            tag = np.select([batch.ids == first, batch.ids == second], [1, 2], 0)
            return np.eye(3, dtype=np.float32)[tag] * 50

    return Annotator(SpellingEngine(), vocabulary, crf, window=window, overlap=overlap, batch_tokens=64)
