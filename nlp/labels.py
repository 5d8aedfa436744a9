"""Tags and what they say: schemes, and the spans in a sequence of tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp.errors import LabelError

OUTSIDE = "O"
MAX_SPAN = 512
"""Characters of the longest span. A longer run of tags is no name but repeated text, and names nothing."""
_SHOWN = 8  # tags that an error names
_PREFIXES = {"B": "B", "I": "I", "M": "I", "E": "E", "S": "S"}  # BMES writes M for I


@dataclass(frozen=True, slots=True)
class Scheme:
    """The tags of a model in the order of its head, and the rules that turn a sequence of them into spans.

    A span begins at a B or S, goes on while `continues`, and ends before the first tag that does not: an O, another
    label, a new beginning. An I or E that continues nothing opens nothing, and a run over `MAX_SPAN` is no span.
    """

    tags: tuple[str, ...]
    labels: tuple[str, ...]  # per tag, "" for O
    opens: NDArray[np.bool_]  # (tags,): this tag begins a span
    continues: NDArray[np.bool_]  # (tags, tags): the second tag goes on with the span that the first is in
    outside: int  # the index of O

    @classmethod
    def of(cls, tags: Sequence[str]) -> Scheme:
        """Read a scheme off a model's tags; raise `LabelError` for what is neither BIO nor BIOES (BMES)."""
        parts = [split_tag(tag) for tag in tags]
        if len(set(tags)) != len(tags):
            raise LabelError(f"the tags {_shown(tags)} name one tag twice; each may occur once")
        if tags.count(OUTSIDE) != 1:
            raise LabelError(f"the tags {_shown(tags)} have no {OUTSIDE!r}; a BIO or BIOES set has exactly one")
        labels = {label for _, label in parts if label}
        if unopened := sorted(labels - {label for prefix, label in parts if prefix == "B"}):
            raise LabelError(f"no tag opens {', '.join(unopened)}; expected a B- tag for every label")
        inside = [prefix in ("B", "I") for prefix, _ in parts]
        goes_on = [prefix in ("I", "E") for prefix, _ in parts]
        continues = [
            [inside[a] and goes_on[b] and parts[a][1] == parts[b][1] for b in range(len(tags))]
            for a in range(len(tags))
        ]
        return cls(
            tags=tuple(tags),
            labels=tuple(label for _, label in parts),
            opens=np.array([prefix in ("B", "S") for prefix, _ in parts]),
            continues=np.array(continues),
            outside=tags.index(OUTSIDE),
        )

    @property
    def types(self) -> tuple[str, ...]:
        """The labels, each once, in order."""
        return tuple(dict.fromkeys(label for label in self.labels if label))

    def spans(self, tags: NDArray[np.int16]) -> list[tuple[int, int, str]]:
        """Return (start, end, label) of every span in a sequence of tag indices, shape (tokens,), in order."""
        runs = self.runs(tags)
        return [(start, end, label) for start, end, label in runs if end - start <= MAX_SPAN]

    def runs(self, tags: NDArray[np.int16]) -> list[tuple[int, int, str]]:
        """Return the same as `spans`, those over `MAX_SPAN` included."""
        found: list[tuple[int, int, str]] = []
        start = end = previous = -1
        for i in np.flatnonzero(tags != self.outside).tolist():
            tag = int(tags[i])
            if end == i and self.continues[previous, tag]:
                end = i + 1
            else:
                if end > start:
                    found.append((start, end, self.labels[int(tags[start])]))
                start, end = (i, i + 1) if self.opens[tag] else (-1, -1)
            previous = tag
        if end > start:
            found.append((start, end, self.labels[int(tags[start])]))
        return found


def split_tag(tag: str) -> tuple[str, str]:
    """Split `B-PER` into (`B`, `PER`) and `O` into (`O`, ``), reading BMES's M as I; raise `LabelError` for others."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, separator, label = tag.partition("-")
    if not (separator and label and prefix in _PREFIXES):
        raise LabelError(f"{tag!r} is no tag: expected 'O', or B-, I-, M-, E- or S- before a label, such as 'B-PER'")
    return _PREFIXES[prefix], label


def gold_spans(tags: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, label) as conlleval reads a gold file: an I or E that continues nothing opens a span."""
    start, current = -1, ""
    i = -1
    closed = True
    for i, tag in enumerate(tags):
        prefix, label = split_tag(tag)
        if not closed and (prefix in ("O", "B", "S") or label != current):
            yield start, i, current
            closed = True
        if closed and prefix != "O":
            start, current, closed = i, label, False
        if prefix in ("E", "S"):
            yield start, i + 1, current
            closed = True
    if not closed:
        yield start, i + 1, current


def _shown(tags: Sequence[str]) -> str:
    return ", ".join([*tags[:_SHOWN], "…"] if len(tags) > _SHOWN else tags)
