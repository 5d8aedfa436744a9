"""Small RaNER checkpoints with random weights, written as safetensors: no torch needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from nlp.checkpoint import Architecture, expected_shapes

TAGS = ("O", "B-PER", "I-PER", "E-PER", "S-PER")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"中国人王小明在北京读书，。abc")
SMALL = Architecture(
    layers=2,
    heads=2,
    hidden=32,
    intermediate=64,
    vocabulary=len(VOCABULARY),
    positions=64,
    token_types=2,
    activation="gelu",
    layer_norm_epsilon=1e-12,
)

Tensors = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def random_tensors(seed: int = 0, architecture: Architecture = SMALL) -> Tensors:
    draw = np.random.default_rng(seed)
    tensors = {}
    for name, shape in expected_shapes(architecture, len(TAGS)).items():
        values = draw.normal(0, 0.5 if name.startswith(("linear", "crf")) else 0.15, shape)
        tensors[name] = (values + ("LayerNorm.weight" in name)).astype(np.float32)
    return tensors


def with_leftovers(tensors: Tensors, architecture: Architecture = SMALL) -> Tensors:
    """Add what ModelScope writes beside the tensors that are read: positions counted up, and a pooler."""
    pooler = {
        "weight": np.zeros((architecture.hidden,) * 2, np.float32),
        "bias": np.zeros(architecture.hidden, np.float32),
    }
    positions = {"encoder.embeddings.position_ids": np.arange(architecture.positions)[None]}
    return tensors | positions | {f"encoder.pooler.dense.{name}": value for name, value in pooler.items()}


def write_checkpoint(directory: Path, tensors: Tensors | None = None, **changes: Any) -> Path:
    """Write a checkpoint; `changes` replace entries of config.json, and `tags` the labels."""
    directory.mkdir()
    tags = changes.pop("tags", TAGS)
    config = {
        "model_type": "bert",
        "num_hidden_layers": SMALL.layers,
        "num_attention_heads": SMALL.heads,
        "hidden_size": SMALL.hidden,
        "intermediate_size": SMALL.intermediate,
        "vocab_size": SMALL.vocabulary,
        "max_position_embeddings": SMALL.positions,
        "type_vocab_size": SMALL.token_types,
        "hidden_act": SMALL.activation,
        **changes,
    }
    labels = {
        "model": {"type": "transformer-crf"},
        "preprocessor": {"label2id": {tag: i for i, tag in enumerate(tags)}},
    }
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "configuration.json").write_text(json.dumps(labels))
    (directory / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    save_file(random_tensors() if tensors is None else tensors, directory / "model.safetensors")
    return directory


def renamed(tensors: Tensors, rename: Callable[[str], str]) -> Tensors:
    return {rename(name): value for name, value in tensors.items()}
