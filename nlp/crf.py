"""The linear-chain CRF over the tags of a text: Viterbi as the emissions come, and the probability of a span.

Scores follow pytorch-crf, which RaNER uses: a sequence of tags scores the sum of its emissions, `start[first]`,
`transitions[from, to]` between neighbours and `end[last]`. The state beyond either end of a text is made a tag of its
own, the last one (`edge`), so that start and end are transitions like any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nlp.labels import Scheme
from nlp.types import FloatArray

Scores = NDArray[np.float64]
Backpointers = NDArray[np.int16]

NEIGHBOURHOOD = 32
"""Tokens on each side of a span that its probability is computed from. What lies farther moves it by less than 1e-4, in
the packaged models and under random transitions, so a long text needs no second pass over all of itself."""

_BLOCK_BYTES = 1024**2
"""What the largest array of a computation over many rows may take: more rows are worked in several blocks."""

_ANY, _CONTINUE, _LEAVE = range(3)


@dataclass(frozen=True, slots=True)
class Place:
    """A span in its surroundings: the emissions (n, tags + 1) around it, of which rows `[start, stop)` are the span's.

    There is at least one row on either side, be it the edge. Without a label, nothing is held to the span.
    """

    emissions: Scores
    start: int
    stop: int
    label: str | None


@dataclass(frozen=True, slots=True)
class Crf:
    """A CRF with `tags` tags; `transitions` has shape (tags + 1, tags + 1), the last row and column being the edge."""

    transitions: Scores
    scheme: Scheme

    @classmethod
    def of(cls, start: FloatArray, end: FloatArray, transitions: FloatArray, scheme: Scheme) -> Crf:
        """Join the three arrays of a checkpoint, shapes (tags,), (tags,) and (tags, tags)."""
        tags = len(start)
        joined = np.zeros((tags + 1, tags + 1))
        joined[:tags, :tags] = transitions
        joined[tags, :tags] = start
        joined[:tags, tags] = end
        return cls(joined, scheme)

    @property
    def edge(self) -> int:
        """The index of the state beyond either end of a text."""
        return len(self.transitions) - 1

    def padded(self, emissions: FloatArray, before: int, after: int) -> Scores:
        """Widen emissions (tokens, tags) to (before + tokens + after, tags + 1): beyond the ends only the edge."""
        wide = np.full((before + len(emissions) + after, self.edge + 1), -np.inf)
        wide[:before, -1] = wide[before + len(emissions) :, -1] = 0.0
        wide[before : before + len(emissions), :-1] = emissions
        return wide

    def initial(self) -> Scores:
        """Return the Viterbi scores (tags + 1,) before the first token: the edge is the only state."""
        alpha = np.full(self.edge + 1, -np.inf)
        alpha[-1] = 0.0
        return alpha

    def viterbi(self, alphas: Sequence[Scores], emissions: Sequence[Scores]) -> tuple[list[Scores], list[Backpointers]]:
        """Take several texts forward at once, each from its `alphas[i]` (tags + 1,) over `emissions[i]` (n, tags + 1).

        Returns the scores after the last token and, per token, the best predecessor of every tag (n, tags + 1). A text
        taken forward in pieces, or beside others, gives the same numbers to the last bit.
        """
        lengths = np.array([len(e) for e in emissions])
        order = np.argsort(-lengths, kind="stable")  # longest first: those still running are always a prefix
        texts, steps, tags = len(order), int(lengths.max(initial=0)), self.edge + 1
        scores = np.zeros((steps, texts, tags))
        for row, i in enumerate(order):
            scores[: lengths[i], row] = emissions[i]
        arrivals = np.ascontiguousarray(self.transitions.T)  # (to, from): the search runs over contiguous rows
        alpha = np.array([alphas[i] for i in order])
        best = np.zeros((steps, texts, tags), np.int16)
        block = max(1, _BLOCK_BYTES // arrivals.nbytes)
        running = texts
        with np.errstate(invalid="ignore"):
            for step in range(steps):
                while lengths[order[running - 1]] <= step:
                    running -= 1
                for first in range(0, running, block):
                    rows = slice(first, min(first + block, running))
                    paths = alpha[rows, None, :] + arrivals  # (rows, to, from)
                    best[step, rows] = paths.argmax(2)
                    alpha[rows] = paths.max(2) + scores[step, rows]
        place = {int(i): row for row, i in enumerate(order)}
        return (
            [alpha[place[i]].copy() for i in range(texts)],
            [best[: lengths[i], place[i]].copy() for i in range(texts)],
        )

    def decided(self, pointers: Backpointers, *, ended: bool) -> tuple[list[int], Backpointers]:
        """Return the tags that every surviving path agrees on, and the backpointers still needed for the rest.

        `pointers` has shape (n, tags + 1) and begins where the tags decided before end. With `ended`, the last row
        belongs to the edge behind the text: one path is left, and everything is decided.
        """
        survivors = np.full(self.edge + 1, self.edge) if ended else np.arange(self.edge + 1)
        last = len(pointers) - 1
        while last >= 0 and (survivors != survivors[0]).any():
            survivors = pointers[last][survivors]
            last -= 1
        tag, tags = int(survivors[0]), []
        for row in reversed(pointers[: last + 1].tolist()):
            tags.append(tag)
            tag = row[tag]
        return tags[::-1], pointers[last + 1 :]

    def span_scores(self, places: Sequence[Place]) -> list[float]:
        """Return the probability of exactly each span, with its label and its borders.

        It is the sum over every sequence of tags that `Scheme.spans` reads as this span, divided by the sum over all
        sequences: two forward passes, one of them held to the span.
        """
        step_weights = self._step_weights()
        order = sorted(range(len(places)), key=lambda i: -len(places[i].emissions))  # longest first, as in viterbi
        scores = [0.0] * len(places)
        while order:
            row_bytes = len(places[order[0]].emissions) * step_weights[0, 0].nbytes
            block = max(1, _BLOCK_BYTES // (2 * row_bytes))
            chosen, order = order[:block], order[block:]
            held = [places[i] for i in chosen]
            free = [replace(place, label=None) for place in held]
            totals = self._forward([place for pair in zip(held, free, strict=True) for place in pair], step_weights)
            for i, p in zip(chosen, np.exp(totals[::2] - totals[1::2]).tolist(), strict=True):
                scores[i] = min(1.0, p)
        return scores

    def _forward(self, places: Sequence[Place], step_weights: Scores) -> Scores:
        """Return the logarithm of the summed scores, (rows,), of the sequences that keep to each place's span.

        The places come longest first. A row's sums run along its own tags, in order, whatever rows are beside it.
        """
        rows, steps, tags = len(places), len(places[0].emissions), self.edge + 1
        weights = np.zeros((steps, rows, tags))
        moves = np.zeros((steps, rows), np.intp)
        total = np.zeros(rows)
        for row, place in enumerate(places):
            weights[:, row], moves[:, row], total[row] = self._held(place, steps)
        p, running = weights[0], rows
        for step in range(1, steps):
            while len(places[running - 1].emissions) <= step:
                running -= 1
            p = _moved(p[:running], step_weights, moves[step, :running]) * weights[step, :running]
            mass = p.sum(1)
            possible = mass > 0
            total[:running] += np.log(mass, where=possible, out=np.full(running, -np.inf))
            p /= np.where(possible, mass, 1.0)[:, None]
        return total

    def _held(self, place: Place, steps: int) -> tuple[Scores, NDArray[np.intp], float]:
        """Return one row's weights (steps, tags + 1), its kind of move per step, and the scale taken out of it."""
        n = len(place.emissions)
        peaks = place.emissions.max(1)
        weights = np.zeros((steps, self.edge + 1))
        weights[:n] = np.exp(place.emissions - peaks[:, None])
        moves = np.full(steps, _ANY, np.intp)
        if place.label is not None:
            labels = zip(self.scheme.opens, self.scheme.labels, strict=True)
            opens = [opening and label == place.label for opening, label in labels]
            weights[place.start] *= [*opens, False]
            moves[place.start + 1 : place.stop] = _CONTINUE
            moves[place.stop] = _LEAVE
        return weights, moves, math.fsum(peaks.tolist())

    def _step_weights(self) -> Scores:
        """Return exp(transitions) three times, (3, tags + 1, tags + 1): any move, those that continue, the others."""
        continues = np.zeros((self.edge + 1, self.edge + 1), bool)
        continues[:-1, :-1] = self.scheme.continues
        weights = np.exp(self.transitions)
        return np.stack([weights, weights * continues, weights * ~continues])


def _moved(p: Scores, step_weights: Scores, moves: NDArray[np.intp]) -> Scores:
    """Return the sums (rows, to) of `p` (rows, from) times `step_weights[moves]` (rows, from, to) over `from`.

    They run in the order of the tags, so a row's bits do not depend on those beside it, as a BLAS product's would.
    """
    moved = np.empty_like(p)
    kinds = set(moves.tolist())
    for kind in kinds:
        rows = moves == kind if len(kinds) > 1 else slice(None)
        moved[rows] = np.einsum("rf,ft->rt", p[rows], step_weights[kind])
    return moved
