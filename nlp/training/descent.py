"""How weights move: rates by part, warm-up and cosine, and the averages that are kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nlp.training.network import Network
from nlp.training.recipe import Recipe

_UNDECAYED = ("bias", "LayerNorm.weight")


def optimizer(network: Network, recipe: Recipe) -> Any:
    """Return AdamW with a group of weights for each rate; `factor` scales them all."""
    groups = [
        {"params": weights, "lr": rate, "peak": rate, "weight_decay": decay}
        for weights, rate, decay in _groups(network, recipe)
        if weights
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=True)


def set_rates(optimizer: Any, factor: float) -> None:
    """Set every group's rate to a share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def factor(progress: float, warm_up: float, floor: float) -> float:
    """Return the share of the peak rate at some progress, from 0 to 1: a line up, then a cosine down to the floor."""
    if progress < warm_up:
        return progress / warm_up
    down = (progress - warm_up) / max(1 - warm_up, 1e-9)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(down, 1.0)))


@contextmanager
def adversary(network: Network, size: float) -> Iterator[None]:
    """Let the tokens' embeddings go, until the end of the block, a step of this norm to where the loss grows fastest.

    The gradient of a first reading has to be there. Source: Miyato et al., 2017, Adversarial Training Methods for
    Semi-Supervised Text Classification; here one step is shared by a batch, and taken in the table of embeddings.
    """
    embeddings = network.encoder.embeddings.word_embeddings.weight
    before = embeddings.detach().clone()
    with torch.no_grad():
        embeddings.add_(embeddings.grad * (size / embeddings.grad.norm().clamp_min(1e-12)))
    yield
    with torch.no_grad():
        embeddings.copy_(before)


class Average:
    """The running average of a network's weights, held in a network of its own, and its mean with where they began."""

    def __init__(self, network: Network, decay: float, start_share: float) -> None:
        self.network, self._decay, self._start_share = network, decay, start_share
        self.network.requires_grad_(False).eval()
        self._start = copy.deepcopy(self.network)

    def update(self, network: Network, step: int) -> None:
        """Move towards the weights after a step, counted from 1: faster at first, when they still move far."""
        decay = min(self._decay, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - decay)

    def with_start(self) -> Network:
        """Return a network between the average and the weights at the start, as far back as `start_share` says.

        In the middle the two may do better than either (Wortsman et al., 2022, Robust fine-tuning of zero-shot models).
        """
        between = copy.deepcopy(self.network)
        torch._foreach_lerp_(list(between.parameters()), list(self._start.parameters()), self._start_share)
        return between


def _groups(network: Network, recipe: Recipe) -> Iterator[tuple[list[Any], float, float]]:
    encoder = list(network.encoder.named_parameters())
    for plain, decay in ((True, 0.0), (False, recipe.weight_decay)):
        weights = [value for name, value in encoder if name.endswith(_UNDECAYED) is plain]
        yield weights, recipe.rate, decay
    head = [*network.linear.parameters(), *network.convention.parameters(), *network.heads.parameters()]
    yield head, recipe.rate * recipe.head_rate, recipe.weight_decay
    yield list(network.crf.parameters()), recipe.rate * recipe.transition_rate, 0.0
