"""The network that is trained: BERT, a linear layer and a CRF, which are kept, and what only helps to train them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from nlp.checkpoint import Architecture
from nlp.training.likelihood import Crf, Expected, Tensor
from nlp.types import FloatArray

_KEPT = ("encoder.", "linear.", "crf.")


@dataclass(frozen=True, slots=True)
class Weights:
    """What the parts of the loss count beside the CRF's likelihood."""

    corpus: float
    heads: float
    teacher: float


@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """A `Batch` on the device that trains."""

    ids: Tensor
    tags: Tensor
    lengths: Tensor
    conventions: Tensor


class Network(nn.Module):  # type: ignore[misc]  # torch carries no types here
    """RaNER's network, with two helpers that are not written to a checkpoint.

    `convention` tells from [CLS], in the middle of the encoder, by which rules a row was annotated: what is known
    there, the layers above can use, so that the conventions of corpora need not average out, and nobody has to name
    one in serving.
    `heads` is a linear layer per convention over the last layer.
    """

    def __init__(self, architecture: Architecture, tags: int, conventions: int, dropout: float, precision: str) -> None:
        super().__init__()
        a = architecture
        config = BertConfig(
            vocab_size=a.vocabulary,
            hidden_size=a.hidden,
            num_hidden_layers=a.layers,
            num_attention_heads=a.heads,
            intermediate_size=a.intermediate,
            max_position_embeddings=a.positions,
            type_vocab_size=a.token_types,
            hidden_act=a.activation,
            layer_norm_eps=a.layer_norm_epsilon,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=0.0,
            attn_implementation="eager",  # for short rows on a CPU a fifth faster than the fused one
        )
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(a.hidden, tags)
        self.crf = Crf(tags)
        self.convention = nn.Linear(a.hidden, conventions)
        self.heads = nn.Linear(a.hidden, conventions * tags)
        self._middle, self._tags = (a.layers + 1) // 2, tags
        self._half = precision == "bfloat16"

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last hidden state, and that of [CLS] in the middle, from ids (rows, width) and tags a row (rows,).

        The shapes are (rows, width - 2, hidden), without [CLS] and [SEP], and (rows, hidden); both are float32.
        """
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None] + 2  # (rows, width)
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self._half):
            output = self.encoder(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        return output.last_hidden_state[:, 1:-1].float(), output.hidden_states[self._middle][:, 0].float()

    def emissions(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the score of every tag for every character, (rows, width - 2, tags)."""
        return self.linear(self(ids, lengths)[0])

    def loss(self, batch: DeviceBatch, taught: Expected | None, weights: Weights) -> Tensor:
        """Return the loss per character: the CRF's negative log-likelihood, and what teachers and helpers add.

        `taught` is what the teachers expect of the batch. Rows that nobody labelled learn from them alone.
        """
        hidden, first = self(batch.ids, batch.lengths)
        hidden = self.dropout(hidden)
        emissions = self.linear(hidden)
        total = emissions.new_zeros(())
        if taught is not None:
            total = total + weights.teacher * self.crf.cross_entropy(emissions, batch.lengths, taught)
        labelled = batch.conventions >= 0
        if labelled.any():
            tags, lengths, conventions = (x[labelled] for x in (batch.tags, batch.lengths, batch.conventions))
            hidden, first, emissions = hidden[labelled], first[labelled], emissions[labelled]
            total = total + self.crf(emissions, tags, lengths).sum()
            if weights.corpus:
                told = self.convention(first)
                total = total + weights.corpus * functional.cross_entropy(told, conventions, reduction="sum")
            if weights.heads:
                total = total + weights.heads * self._by_convention(hidden, tags, lengths, conventions)
        return total / batch.lengths.sum()

    def kept(self) -> dict[str, FloatArray]:
        """Return the tensors of a checkpoint by name, float32."""
        kept = {name: value for name, value in self.state_dict().items() if name.startswith(_KEPT)}
        return {name: value.detach().float().cpu().numpy() for name, value in kept.items()}

    def load(self, tensors: Mapping[str, Any]) -> None:
        """Take the tensors that are there, by the names of a checkpoint."""
        self.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()}, strict=False)

    def _by_convention(self, hidden: Tensor, tags: Tensor, lengths: Tensor, conventions: Tensor) -> Tensor:
        rows, width, _ = hidden.shape
        scores = self.heads(hidden).view(rows, width, -1, self._tags)  # (rows, width, conventions, tags)
        own = scores[torch.arange(rows, device=tags.device), :, conventions]  # (rows, width, tags)
        inside = torch.arange(width, device=tags.device) < lengths[:, None]  # (rows, width)
        return functional.cross_entropy(own[inside], tags[inside], reduction="sum")
