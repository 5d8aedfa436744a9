"""The likelihood of tag sequences under the linear-chain CRF, for all rows of a batch at once, in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Tensor = Any  # torch carries no types here


@dataclass(frozen=True, slots=True)
class Expected:
    """How often a CRF expects each tag and each step between tags, by the probabilities of all sequences.

    `tags` (rows, width, tags) tells it by place; `transitions` (from, to), `start` and `end` (tags,) sum over a batch.
    """

    tags: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor


class Crf(nn.Module):  # type: ignore[misc]  # torch carries no types here
    """The transitions that RaNER's CRF learns, scored as pytorch-crf and `nlp.crf` do; rows are padded at their end."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.start_transitions = nn.Parameter(torch.zeros(tags))  # (tags,)
        self.end_transitions = nn.Parameter(torch.zeros(tags))  # (tags,)
        self.transitions = nn.Parameter(torch.zeros(tags, tags))  # (from, to)

    def forward(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return every row's negative log-likelihood, (rows,), from (rows, width, tags), (rows, width) and (rows,)."""
        return self.log_partition(emissions, lengths) - self.score(emissions, tags, lengths)

    def expected(self, emissions: Tensor, lengths: Tensor) -> Expected:
        """Return what is expected of rows with these scores, (rows, width, tags): the slopes of the log-partition."""
        with torch.enable_grad():
            emissions = emissions.detach().requires_grad_()
            parts = emissions, self.transitions, self.start_transitions, self.end_transitions
            return Expected(*torch.autograd.grad(self.log_partition(emissions, lengths).sum(), parts))

    def cross_entropy(self, emissions: Tensor, lengths: Tensor, expected: Expected) -> Tensor:
        """Return the negative log-likelihood, summed over rows, of sequences as another CRF expects them."""
        score = (
            (emissions * expected.tags).sum()
            + (self.transitions * expected.transitions).sum()
            + (self.start_transitions * expected.start).sum()
            + (self.end_transitions * expected.end).sum()
        )
        return self.log_partition(emissions, lengths).sum() - score

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the logarithm of the summed scores of all sequences, (rows,)."""
        alpha = self.start_transitions + emissions[:, 0]  # (rows, tags)
        shortest = int(lengths.min())
        for step in range(1, emissions.shape[1]):
            paths = alpha[:, :, None] + self.transitions  # (rows, from, to)
            onward = torch.logsumexp(paths, 1) + emissions[:, step]  # (rows, tags)
            alpha = onward if step < shortest else torch.where((step < lengths)[:, None], onward, alpha)
        return torch.logsumexp(alpha + self.end_transitions, 1)

    def score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the score of one sequence of tags a row, (rows,)."""
        inside = torch.arange(tags.shape[1], device=tags.device) < lengths[:, None]  # (rows, width)
        emitted = emissions.gather(2, tags[:, :, None])[:, :, 0]  # (rows, width)
        moved = self.transitions[tags[:, :-1], tags[:, 1:]]  # (rows, width - 1)
        last = tags.gather(1, lengths[:, None] - 1)[:, 0]  # (rows,)
        return (
            self.start_transitions[tags[:, 0]]
            + (emitted * inside).sum(1)
            + (moved * inside[:, 1:]).sum(1)
            + self.end_transitions[last]
        )
