"""PyTorch on a RaNER checkpoint, for reference and comparison: float32, or int8 by dynamic quantisation."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertModel

from nlp.checkpoint import Checkpoint, describe, read_checkpoint
from nlp.model import Head, Model
from nlp.types import FloatArray, TokenBatch


class TorchEngine:
    """Runs a checkpoint with PyTorch, in inference mode.

    A row at a time: PyTorch's int8 takes one scale for all activations it is given, and its products round differently
    with the number of rows.
    """

    def __init__(self, network: Any, threads: int) -> None:
        """Take a module from ids and mask, both (rows, width), to emissions (rows, width, tags)."""
        torch.set_num_threads(threads)
        self._network = network

    def emissions(self, batch: TokenBatch) -> FloatArray:
        """See `Engine`."""
        rows = []
        with torch.inference_mode():
            for row, length in zip(batch.ids, batch.lengths, strict=True):
                ids = torch.from_numpy(row[None].astype(np.int64))  # (1, width)
                mask = (torch.arange(ids.shape[1]) < int(length))[None].long()  # (1, width)
                rows.append(self._network(ids, mask)[0].numpy())
        scores: FloatArray = np.stack(rows)
        return scores


class _Network(torch.nn.Module):  # type: ignore[misc]  # torch carries no types here
    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        a = checkpoint.architecture
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
        )
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.linear = torch.nn.Linear(a.hidden, len(checkpoint.scheme.tags))
        weights = {name: torch.from_numpy(value) for name, value in checkpoint.tensors.items() if "crf." not in name}
        self.load_state_dict(weights, strict=True)
        self.eval()

    def forward(self, ids: Any, mask: Any) -> Any:
        return self.linear(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state)


def fp32(directory: Path, threads: int) -> tuple[Model, TorchEngine]:
    """Open a checkpoint as it is."""
    checkpoint = read_checkpoint(directory)
    return _model(checkpoint, directory, "fp32"), TorchEngine(_Network(checkpoint), threads)


def int8(directory: Path, threads: int) -> tuple[Model, TorchEngine]:
    """Open a checkpoint and quantise its linear layers dynamically, embeddings staying float32."""
    checkpoint = read_checkpoint(directory)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates this way of quantising, which is the one to compare with
        network = torch.ao.quantization.quantize_dynamic(_Network(checkpoint), {torch.nn.Linear}, dtype=torch.qint8)
    return _model(checkpoint, directory, "int8"), TorchEngine(network, threads)


def _model(checkpoint: Checkpoint, directory: Path, quantization: str) -> Model:
    manifest = describe(checkpoint, name=directory.resolve().name, quantization=quantization, scale="dynamic")
    return Model(manifest, Head.of(checkpoint.tensors), checkpoint.vocabulary)
