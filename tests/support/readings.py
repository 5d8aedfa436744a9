"""Tags as the two decoders read them, and the table of the core's page that says where they differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nlp.crf import Crf
from nlp.decoder import Decoder, Piece
from nlp.labels import Scheme
from nlp.modelscope import ModelScopeDecoder

Entity = tuple[int, int, str]
TAGS = ("O", *(f"{prefix}-{label}" for label in ("PER", "LOC") for prefix in "BIES"))
_WITH_M = ("O", *(f"{prefix}-{label}" for label in ("PER", "LOC") for prefix in "BMES"))
_PAGE = Path(__file__).parents[2] / "nlp" / "README.md"


def rows() -> list[tuple[str, list[Entity], list[Entity]]]:
    """Return the page's rows: the tags, the spans of ModelScope's reading, and those of the strict one."""
    section = _PAGE.read_text(encoding="utf-8").partition("## From tags to spans")[2].partition("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [(row[0].strip(" `"), _entities(row[1]), _entities(row[2])) for row in cells]


def expanded(tags: str) -> list[str]:
    """Split tags at blanks; `I-PER×3` stands for three of them."""
    parts = [tag.partition("×") for tag in tags.split()]
    return [tag for tag, _, times in parts for _ in range(int(times or 1))]


def both_readings(sequences: Sequence[Sequence[str]]) -> list[tuple[list[Entity], list[Entity]]]:
    """Return what ModelScope's reading and the strict one make of every sequence of tags."""
    tags = _WITH_M if any(tag.startswith("M") for sequence in sequences for tag in sequence) else TAGS
    n = len(tags)
    nothing = np.zeros(n, np.float32)
    crf = Crf.of(nothing, nothing, np.zeros((n, n), np.float32), Scheme.of(tags))
    certain = [np.eye(n, dtype=np.float32)[[tags.index(tag) for tag in sequence]] * 50 for sequence in sequences]
    return list(zip(_read(ModelScopeDecoder(crf), certain), _read(Decoder(crf), certain), strict=True))


def _read(decoder: Decoder, certain: Sequence[np.ndarray]) -> list[list[Entity]]:
    pieces = [Piece(decoder.begin(), emissions, last=True) for emissions in certain]
    decoder.advance(pieces)
    return [[(span.start, span.end, span.label) for span in piece.decoding.take_spans()] for piece in pieces]


def _entities(cell: str) -> list[Entity]:
    return [(int(a), int(b), label) for a, b, label in re.findall(r"`(\d+)-(\d+) (\w+)`", cell)]
