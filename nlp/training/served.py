"""Reads the weights out of a serving directory, so that the packaged model can be trained further as it is."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nlp import model
from nlp.errors import TrainingError
from nlp.types import FloatArray

_BINARY_VERSION = 6  # of CTranslate2's model.bin
_KINDS = (np.float32, np.int8, np.int16, np.int32, np.float16)  # by the number that model.bin has for them
_ACTIVATIONS = {0: "relu", 1: "gelu_new", 3: "gelu"}  # by CTranslate2's numbers
_HEAD = {
    "weight": "linear.weight",
    "bias": "linear.bias",
    "start": "crf.start_transitions",
    "end": "crf.end_transitions",
    "transitions": "crf.transitions",
}

Variables = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Served:
    """The weights by the names of a checkpoint, float32, and what of the encoder `model.json` does not name."""

    tensors: dict[str, FloatArray]
    activation: str
    layer_norm_epsilon: float


def read_served(directory: Path, manifest: model.Manifest) -> Served:
    """Read a serving directory's weights, int8 as what it stands for.

    The embedding of token types is 0: what a checkpoint had there went into the positions.
    """
    name = next(engine for engine in ("ct2-fp32", "ct2-int8") if engine in manifest.engines)
    encoder = directory / model.ENCODERS[name]
    with (encoder / "model.bin").open("rb") as file:
        variables = dict(_variables(file, Path(file.name)))
    head = asdict(model.read_head(directory))
    return Served(
        tensors={**_encoder(variables, manifest), **{_HEAD[part]: values for part, values in head.items()}},
        activation=_ACTIVATIONS[int(variables["encoder/activation"])],
        layer_norm_epsilon=json.loads((encoder / "config.json").read_text(encoding="utf-8"))["layer_norm_epsilon"],
    )


def _encoder(variables: Variables, manifest: model.Manifest) -> dict[str, FloatArray]:
    tensors = {
        "encoder.embeddings.word_embeddings.weight": _matrix(variables, "encoder/embeddings_0"),
        "encoder.embeddings.position_embeddings.weight": variables["encoder/position_encodings/encodings"],
        "encoder.embeddings.token_type_embeddings.weight": np.zeros((2, manifest.hidden), np.float32),
        **_norm(variables, "encoder/layernorm_embedding", "encoder.embeddings.LayerNorm"),
    }
    for i in range(manifest.layers):
        theirs, ours = f"encoder/layer_{i}", f"encoder.encoder.layer.{i}"
        joined = [f"{ours}.attention.self.{part}" for part in ("query", "key", "value")]
        tensors |= _linear(variables, f"{theirs}/self_attention/linear_0", *joined)
        tensors |= _linear(variables, f"{theirs}/self_attention/linear_1", f"{ours}.attention.output.dense")
        tensors |= _norm(variables, f"{theirs}/self_attention/layer_norm", f"{ours}.attention.output.LayerNorm")
        tensors |= _linear(variables, f"{theirs}/ffn/linear_0", f"{ours}.intermediate.dense")
        tensors |= _linear(variables, f"{theirs}/ffn/linear_1", f"{ours}.output.dense")
        tensors |= _norm(variables, f"{theirs}/ffn/layer_norm", f"{ours}.output.LayerNorm")
    return tensors


def _linear(variables: Variables, theirs: str, *ours: str) -> dict[str, FloatArray]:
    weights = np.split(_matrix(variables, theirs), len(ours))
    biases = np.split(variables[f"{theirs}/bias"], len(ours))
    return {
        f"{name}.{part}": values
        for name, weight, bias in zip(ours, weights, biases, strict=True)
        for part, values in (("weight", weight), ("bias", bias))
    }


def _norm(variables: Variables, theirs: str, ours: str) -> dict[str, FloatArray]:
    return {f"{ours}.weight": variables[f"{theirs}/gamma"], f"{ours}.bias": variables[f"{theirs}/beta"]}


def _matrix(variables: Variables, name: str) -> FloatArray:
    """Return a matrix (rows, inputs); of an int8 one a row is its integers over its scale."""
    values = variables[f"{name}/weight"].astype(np.float32)
    scale = variables.get(f"{name}/weight_scale")
    return values if scale is None else (values / scale[:, None]).astype(np.float32)


def _variables(file: BinaryIO, path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the name and values of every variable, as CTranslate2's `ModelSpec._serialize` writes them."""
    (version,) = struct.unpack("I", file.read(4))
    if version != _BINARY_VERSION:
        raise TrainingError(f"{path} has version {version}; expected {_BINARY_VERSION}: convert the model again")
    _string(file)  # the name of the specification
    _, count = struct.unpack("II", file.read(8))
    for _ in range(count):
        name = _string(file)
        (dimensions,) = file.read(1)
        shape = struct.unpack(f"{dimensions}I", file.read(4 * dimensions))
        (kind,) = file.read(1)
        (length,) = struct.unpack("I", file.read(4))
        values = np.frombuffer(file.read(length), _KINDS[kind])
        assert len(values) == math.prod(shape), "a variable's bytes are its shape's"
        yield name, values.reshape(shape)


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("H", file.read(2))
    return file.read(length)[:-1].decode("utf-8")
