"""Writes a RaNER checkpoint of any size with random weights: to measure with, when no trained one is at hand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlp.checkpoint import Architecture, expected_shapes
from nlp.errors import CheckpointError
from nlp.labels import OUTSIDE, split_tag
from nlp.making import refuse_occupied
from nlp.types import FloatArray

BASE = Architecture(
    layers=12,
    heads=12,
    hidden=768,
    intermediate=3072,
    vocabulary=21128,
    positions=512,
    token_types=2,
    activation="gelu",
    layer_norm_epsilon=1e-12,
)
"""The shape of RaNER's base models."""

LABELS = ("PER", "LOC", "ORG")
FORMATS = {"pytorch": "pytorch_model.bin", "safetensors": "model.safetensors"}

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_IMPOSSIBLE = -10.0  # the score of a transition that BIOES does not have: far below what the others add up to
_ENCODER_SPREAD = 0.02  # standard deviation, as BERT begins; with more, every token's emissions are the same
_EMISSION_SPREAD = 1.5
_CRF_SPREAD = 0.1
_OUTSIDE_BIAS = 4.0  # so that most characters lie outside of entities, as in a text: decoding them is less work


def synthesize(
    destination: Path,
    architecture: Architecture = BASE,
    labels: Sequence[str] = LABELS,
    *,
    seed: int = 0,
    format: str = "pytorch",
) -> None:
    """Write a checkpoint to `destination`, the same bytes for the same seed (and versions of numpy and torch).

    `format` is one of `FORMATS`; ModelScope reads `pytorch` alone. Raises `ModelError` when `destination`
    holds something, `CheckpointError` when the sizes make no encoder, or the library that writes the file is missing.
    """
    refuse_occupied(destination)
    _check(architecture, labels)
    tags = bioes(labels)
    tensors = dict(random_tensors(architecture, tags, seed))
    destination.mkdir(parents=True, exist_ok=True)
    save_tensors(tensors, destination / FORMATS[format])
    vocabulary = vocabulary_of(architecture.vocabulary)
    (destination / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), "utf-8")
    for name, content in configurations(architecture, tags).items():
        (destination / name).write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def bioes(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the tags of some labels in RaNER's order: O, then B, I, E and S of each."""
    return (OUTSIDE, *(f"{prefix}-{label}" for label in labels for prefix in "BIES"))


def vocabulary_of(size: int) -> tuple[str, ...]:
    """Return `size` tokens: BERT's specials, ASCII without capitals, punctuation, then ideographs by code point."""
    ascii_ = (chr(point) for point in range(0x21, 0x7F) if not chr(point).isupper())
    marks = "、。《》「」『』【】〈〉〔〕·“”‘’—…！（），：；？％～"
    ideographs = map(chr, range(0x4E00, 0xA000))
    unused = (f"[unused{i}]" for i in range(1, size + 1))
    tokens = chain(_SPECIAL_TOKENS, ascii_, marks, ideographs, unused)
    return tuple(token for token, _ in zip(tokens, range(size), strict=False))


def random_tensors(architecture: Architecture, tags: Sequence[str], seed: int) -> Iterator[tuple[str, FloatArray]]:
    """Yield every tensor's name and values: normal, but for norms and biases, as BERT's begin."""
    draw = np.random.default_rng(seed)
    for name, shape in expected_shapes(architecture, len(tags)).items():
        if name.endswith("LayerNorm.weight"):
            yield name, np.ones(shape, np.float32)
        elif name.endswith(".bias"):
            values = np.zeros(shape, np.float32)
            if name == "linear.bias":
                values[tags.index(OUTSIDE)] = _OUTSIDE_BIAS
            yield name, values
        else:
            values = draw.standard_normal(shape, np.float32) * np.float32(_spread(name, architecture))
            yield name, np.where(impossible(name, tags), np.float32(_IMPOSSIBLE), values)


def _spread(name: str, architecture: Architecture) -> float:
    kind = name.split(".", maxsplit=1)[0]
    head = {"linear": _EMISSION_SPREAD / math.sqrt(architecture.hidden), "crf": _CRF_SPREAD}
    return head.get(kind, _ENCODER_SPREAD)


def impossible(name: str, tags: Sequence[str]) -> NDArray[np.bool_] | bool:
    """Return which entries of a CRF's tensor stand for what BIOES does not have; False for any other tensor."""
    parts = [split_tag(tag) for tag in tags]
    opened = np.array([prefix in "BI" for prefix, _ in parts])  # something has to follow
    goes_on = np.array([prefix in "IE" for prefix, _ in parts])  # something has to precede
    if name == "crf.start_transitions":
        return goes_on
    if name == "crf.end_transitions":
        return opened
    if name == "crf.transitions":
        same = np.array([[one == other for _, other in parts] for _, one in parts])
        return np.where(opened[:, None], ~(goes_on & same), goes_on)
    return False


def configurations(a: Architecture, tags: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return the contents of a checkpoint's JSON files, by name."""
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": a.hidden,
            "num_hidden_layers": a.layers,
            "num_attention_heads": a.heads,
            "intermediate_size": a.intermediate,
            "vocab_size": a.vocabulary,
            "max_position_embeddings": a.positions,
            "type_vocab_size": a.token_types,
            "hidden_act": a.activation,
            "hidden_dropout_prob": 0.1,  # of training; ModelScope asks for it
            "attention_probs_dropout_prob": 0.1,
            "layer_norm_eps": a.layer_norm_epsilon,
            "pad_token_id": 0,
        },
        "configuration.json": {
            "framework": "pytorch",
            "task": "named-entity-recognition",
            "preprocessor": {
                "type": "sequence-labeling-tokenizer",
                "padding": "max_length",
                "max_length": a.positions,
                "is_split_into_words": True,
                "label2id": {tag: i for i, tag in enumerate(tags)},
            },
            "model": {"type": "transformer-crf"},
            "pipeline": {"type": "named-entity-recognition"},
        },
        "tokenizer_config.json": {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": True,
            "model_max_length": a.positions,
        },
    }


def _check(a: Architecture, labels: Sequence[str]) -> None:
    if a.hidden % a.heads:
        raise CheckpointError(f"{a.heads} heads do not divide a hidden size of {a.hidden}; name one that they divide")
    if a.vocabulary <= len(_SPECIAL_TOKENS):
        raise CheckpointError(f"a vocabulary of {a.vocabulary} holds no character; expected more than 5 tokens")
    if not labels or not all(labels) or len(set(labels)) < len(labels):
        raise CheckpointError(f"the labels {', '.join(labels)!r} are no set of names; expected such as PER,LOC,ORG")


def save_tensors(tensors: dict[str, FloatArray], path: Path) -> None:
    """Write tensors as safetensors, or as a pickle for PyTorch, by the ending of `path`."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file(tensors, path)
        else:
            import torch

            torch.save({name: torch.from_numpy(value) for name, value in tensors.items()}, path)
    except ModuleNotFoundError as error:
        raise CheckpointError(f"writing {path.name} needs {error.name}: pip install 'raner-stream[convert]'") from error
