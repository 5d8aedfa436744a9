"""Reads a RaNER checkpoint directory, as ModelScope publishes it or its trainer writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.errors import CheckpointError
from nlp.labels import Scheme
from nlp.layout import check_layout, found, read_json
from nlp.model import Manifest, sha256
from nlp.tensors import load_tensors, renamed, weights_file
from nlp.tokenizer import SPECIAL
from nlp.types import FloatArray

_SIZES = (
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_size",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_DEFAULTS: dict[str, Any] = {
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a BERT encoder."""

    layers: int
    heads: int
    hidden: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    activation: str
    layer_norm_epsilon: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything a serving directory is made from. `tensors` are those of `expected_shapes`, float32."""

    architecture: Architecture
    tensors: Mapping[str, FloatArray]
    scheme: Scheme
    vocabulary: tuple[str, ...]
    lower_case: bool
    strip_accents: bool
    max_length: int
    weights_file: Path


def read_checkpoint(directory: Path) -> Checkpoint:
    """Read and check a checkpoint; raise `CheckpointError` or `LabelError` naming what was found.

    Weights come from safetensors, or from a pickle that may hold tensors only (`torch.load(weights_only=True)`).
    """
    architecture, vocabulary, scheme = read_small_files(directory)
    weights = weights_file(directory)
    tensors = _checked(renamed(load_tensors(weights)), architecture, len(scheme.tags), weights)
    tokenizer = read_json(directory / "tokenizer_config.json", required=False)
    lower_case = bool(tokenizer.get("do_lower_case", True))
    strip_accents = tokenizer.get("strip_accents")
    return Checkpoint(
        architecture=architecture,
        tensors=tensors,
        scheme=scheme,
        vocabulary=vocabulary,
        lower_case=lower_case,
        strip_accents=lower_case if strip_accents is None else bool(strip_accents),  # as BertTokenizer does
        max_length=architecture.positions,
        weights_file=weights,
    )


def describe(
    checkpoint: Checkpoint,
    *,
    name: str,
    quantization: str,
    scale: str,
    revision: str | None = None,
    origin: str | None = None,
    licence: str | None = None,
    min_score: float = 0.0,
    files: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the manifest of what is made from a checkpoint, or by default of the checkpoint itself."""
    a = checkpoint.architecture
    digest = sha256(checkpoint.weights_file)
    return Manifest(
        name=name,
        revision=revision or digest[:12],
        labels=checkpoint.scheme.tags,
        max_length=checkpoint.max_length,
        lower_case=checkpoint.lower_case,
        strip_accents=checkpoint.strip_accents,
        quantization=quantization,
        scale=scale,
        layers=a.layers,
        hidden=a.hidden,
        heads=a.heads,
        intermediate=a.intermediate,
        source=origin or name,
        licence=licence or "not stated",
        min_score=min_score,
        files={checkpoint.weights_file.name: digest} if files is None else dict(files),
    )


def read_small_files(directory: Path) -> tuple[Architecture, tuple[str, ...], Scheme]:
    """Read and check all that stands beside the weights: it tells a foreign layout before they are loaded."""
    if not directory.is_dir():
        raise CheckpointError(f"{directory} is no directory; expected a RaNER checkpoint (config.json, vocab.txt, …)")
    check_layout(directory)
    architecture = architecture_of(read_json(directory / "config.json"), directory / "config.json")
    return architecture, vocabulary_in(directory / "vocab.txt", architecture), Scheme.of(_tags(directory))


def expected_shapes(a: Architecture, tags: int) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that a checkpoint must hold."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.embeddings.word_embeddings.weight": (a.vocabulary, a.hidden),
        "encoder.embeddings.position_embeddings.weight": (a.positions, a.hidden),
        "encoder.embeddings.token_type_embeddings.weight": (a.token_types, a.hidden),
        "linear.weight": (tags, a.hidden),
        "linear.bias": (tags,),
        "crf.start_transitions": (tags,),
        "crf.end_transitions": (tags,),
        "crf.transitions": (tags, tags),
    }
    norms = ["encoder.embeddings.LayerNorm"]
    for layer in (f"encoder.encoder.layer.{i}" for i in range(a.layers)):
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{layer}.{name}.weight": (a.hidden, a.hidden), f"{layer}.{name}.bias": (a.hidden,)}
        shapes |= {
            f"{layer}.intermediate.dense.weight": (a.intermediate, a.hidden),
            f"{layer}.intermediate.dense.bias": (a.intermediate,),
            f"{layer}.output.dense.weight": (a.hidden, a.intermediate),
            f"{layer}.output.dense.bias": (a.hidden,),
        }
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    return shapes | {f"{norm}.{part}": (a.hidden,) for norm in norms for part in ("weight", "bias")}


def architecture_of(config: Mapping[str, Any], path: Path) -> Architecture:
    """Read the shape off a BERT configuration, in which null is what BERT has; `path` is named in an error."""
    given = _DEFAULTS | {name: value for name, value in config.items() if value is not None}
    sizes: list[Any] = [given.get(name) for name in _SIZES]
    for name, value in zip(_SIZES, sizes, strict=True):
        if not (type(value) is int and value > 0):
            raise CheckpointError(f"{path}: {name} is {value!r}; expected a whole number above 0, as BERT has")
    layers, heads, hidden, intermediate, vocabulary, positions, token_types = sizes
    if hidden % heads:
        raise CheckpointError(f"{path}: hidden_size {hidden} is no multiple of num_attention_heads {heads}")
    epsilon = given["layer_norm_eps"]
    if not (type(epsilon) in (int, float) and 0 <= epsilon < 1):
        raise CheckpointError(f"{path}: layer_norm_eps is {epsilon!r}; expected a small number, as 1e-12")
    return Architecture(
        layers=layers,
        heads=heads,
        hidden=hidden,
        intermediate=intermediate,
        vocabulary=vocabulary,
        positions=positions,
        token_types=token_types,
        activation=str(given["hidden_act"]),
        layer_norm_epsilon=float(epsilon),
    )


def vocabulary_in(path: Path, architecture: Architecture) -> tuple[str, ...]:
    """Read a vocabulary, a token a line; it has BERT's special tokens, and no more than the architecture."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; expected BERT's vocabulary; found: {found(path.parent)}")
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte-order mark
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} cannot be read as UTF-8 text: {error}") from error
    tokens = tuple(text.removesuffix("\n").split("\n"))
    if missing := [token for token in SPECIAL if token not in tokens]:
        raise CheckpointError(f"{path} has no {', '.join(missing)}; expected BERT's vocabulary, a token a line")
    if len(tokens) > architecture.vocabulary:
        raise CheckpointError(f"{path} has {len(tokens):,} tokens; config.json says {architecture.vocabulary:,}")
    return tokens


def _tags(directory: Path) -> tuple[str, ...]:
    """Look the tags up where ModelScope does, in its order."""
    settings = read_json(directory / "configuration.json", required=False)
    places = (
        ("label_mapping.json", read_json(directory / "label_mapping.json", required=False)),
        *(
            (f"configuration.json {section}.{key}", _within(settings, section, key))
            for section in ("model", "preprocessor")
            for key in ("label2id", "id2label")
        ),
        *((f"config.json {key}", read_json(directory / "config.json").get(key)) for key in ("label2id", "id2label")),
    )
    for place, mapping in places:
        if mapping:
            return _in_order(mapping, f"{directory}: {place}")
    raise CheckpointError(
        f"{directory} names no labels; expected label2id in label_mapping.json, configuration.json or config.json"
    )


def _within(settings: Mapping[str, Any], section: str, key: str) -> Any:
    inner = settings.get(section)
    return inner.get(key) if isinstance(inner, dict) else None


def _in_order(mapping: Any, place: str) -> tuple[str, ...]:
    try:
        pairs = list(mapping.items())
        is_label2id = all(isinstance(index, int) for _, index in pairs)
        ids = {int(index): str(tag) for index, tag in ((b, a) if is_label2id else (a, b) for a, b in pairs)}
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{place} is {mapping!r:.80}; expected labels and their numbers") from error
    if sorted(ids) != list(range(len(ids))):
        raise CheckpointError(f"{place} numbers its labels {sorted(ids)}; expected 0 to {len(ids) - 1}")
    return tuple(ids[i] for i in range(len(ids)))


def _checked(
    tensors: Mapping[str, FloatArray], architecture: Architecture, tags: int, path: Path
) -> dict[str, FloatArray]:
    """Return the tensors that are expected, without others such as a pooler's."""
    expected = expected_shapes(architecture, tags)
    if missing := [name for name in expected if name not in tensors]:
        kinds = sorted({re.split(r"[.]", name)[0] + ".*" for name in tensors})
        raise CheckpointError(
            f"{path} lacks {missing[0]} and {len(missing) - 1} more of {len(expected)} tensors; it holds "
            f"{len(tensors)} ({', '.join(kinds[:5])}). Expected encoder.*, linear.* and crf.*, as RaNER writes them"
        )
    above = f"encoder.encoder.layer.{architecture.layers}."
    if more := [name for name in tensors if name.startswith(above)]:
        raise CheckpointError(f"{path} holds {more[0]}; config.json says {architecture.layers} layers, counted from 0")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tensors[name].shape}; expected {shape} from config.json and {tags} tags"
            )
        if not np.isfinite(tensors[name]).all():
            raise CheckpointError(f"{path}: {name} holds values that are not finite; the file is damaged")
    return {name: tensors[name] for name in expected}
