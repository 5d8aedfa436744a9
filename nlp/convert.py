"""Writes a serving directory: an encoder for CTranslate2, the head and CRF, the vocabulary, and model.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from ctranslate2.specs import Activation, EmbeddingsMerge, TransformerEncoderModelSpec, TransformerEncoderSpec
from ctranslate2.specs.common_spec import EmbeddingsSpec, LayerNormSpec, LinearSpec
from numpy.typing import NDArray

from nlp import model
from nlp.centre import centred
from nlp.checkpoint import Architecture, Checkpoint, describe, read_checkpoint
from nlp.errors import CheckpointError
from nlp.making import MADE, made_whole
from nlp.types import FloatArray

Quantization = Literal["int8", "fp32", "both"]
Scale = Literal["pair-safe", "plain"]


_ACTIVATIONS = {"gelu": Activation.GELU, "gelu_new": Activation.GELUTanh, "relu": Activation.RELU}


def convert(
    source: Path,
    destination: Path,
    *,
    name: str | None = None,
    revision: str | None = None,
    origin: str | None = None,
    licence: str | None = None,
    min_score: float = 0.0,
    quantization: Quantization = "int8",
    scale: Scale = "pair-safe",
) -> model.Manifest:
    """Convert the RaNER checkpoint in `source` to a serving directory and return its manifest.

    `revision` defaults to the start of the weights' digest; `min_score` is the least score of an entity that the model
    gives. The plain scale is a little finer, and only for processors with VNNI or AMX. Raises `CheckpointError` for
    what is no such checkpoint and `ModelError` when `destination` exists and holds something, or cannot be written.
    """
    with made_whole(destination, model.MANIFEST) as directory:
        checkpoint, made = read_checkpoint(source), directory / MADE
        _write_files(checkpoint, made, quantization, scale)
        manifest = describe(
            checkpoint,
            name=name or source.resolve().name,
            revision=revision,
            origin=origin or source.resolve().name,
            licence=licence,
            min_score=min_score,
            quantization=quantization,
            scale="none" if quantization == "fp32" else scale,
            files=model.digests(made),
        )
        model.write_manifest(made, manifest)
    return manifest


def quantize(weight: FloatArray, *, pair_safe: bool) -> tuple[NDArray[np.int8], FloatArray]:
    """Quantise rows to int8, shape (outputs, inputs) with scales (outputs,): integer = round(weight * scale).

    Without VNNI, AVX2 adds the products of two neighbouring inputs in 16 bits, which overflow when both weights are
    large and of one sign: 2 * 127 * 255 > 32767. The pair-safe scale keeps |w1| + |w2| of such pairs within 127.
    """
    peak = np.abs(weight).max(1)
    if pair_safe:
        pairs = weight[:, : weight.shape[1] // 2 * 2].reshape(len(weight), -1, 2)
        sums = np.abs(pairs).sum(2) * (np.sign(pairs[..., 0]) == np.sign(pairs[..., 1]))
        peak = np.maximum(peak, sums.max(1))
    scale = (127.0 / np.where(peak == 0, 127.0, peak)).astype(np.float32)
    return np.rint(weight * scale[:, None]).astype(np.int8), scale


def _write_files(checkpoint: Checkpoint, directory: Path, quantization: Quantization, scale: Scale) -> None:
    directory.mkdir()
    if quantization != "fp32":
        encoder = replace(checkpoint, tensors=centred(checkpoint))
        _write_encoder(encoder, directory / model.ENCODERS["ct2-int8"], _Int8(pair_safe=scale == "pair-safe"))
    if quantization != "int8":
        _write_encoder(checkpoint, directory / model.ENCODERS["ct2-fp32"], _Float32())
    np.savez(directory / model.HEAD, **asdict(model.Head.of(checkpoint.tensors)))
    (directory / model.VOCABULARY).write_text("".join(f"{token}\n" for token in checkpoint.vocabulary), "utf-8")


class _IdsOnly(TransformerEncoderModelSpec):  # type: ignore[misc]  # ctranslate2 carries no types
    """An encoder that is given ids, never tokens: it needs no vocabulary, which CTranslate2 would keep in memory."""

    def get_vocabulary_size(self) -> int:
        return 1


def _write_encoder(checkpoint: Checkpoint, destination: Path, weights: _Weights) -> None:
    a = checkpoint.architecture
    encoder = TransformerEncoderSpec(
        a.layers,
        a.heads,
        pre_norm=False,
        activation=_activation(a),
        layernorm_embedding=True,
        embeddings_merge=EmbeddingsMerge.ADD,
    )
    encoder.scale_embeddings = False
    _fill(encoder, checkpoint.tensors, weights)
    spec = _IdsOnly(encoder)
    spec.register_vocabulary(["[UNK]"])
    spec.config.unk_token = "[UNK]"  # noqa: S105 - no password
    spec.config.layer_norm_epsilon = a.layer_norm_epsilon
    spec.validate()
    destination.mkdir()
    spec.save(str(destination))


def _activation(a: Architecture) -> Activation:
    if a.activation not in _ACTIVATIONS:
        raise CheckpointError(f"config.json: hidden_act is {a.activation!r}; expected {' or '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[a.activation]


class _Weights(Protocol):
    """How matrices are stored."""

    def linear(self, spec: LinearSpec, weight: FloatArray) -> None: ...

    def embeddings(self, spec: EmbeddingsSpec, weight: FloatArray) -> None: ...


class _Float32:
    def linear(self, spec: LinearSpec, weight: FloatArray) -> None:
        spec.weight = weight

    def embeddings(self, spec: EmbeddingsSpec, weight: FloatArray) -> None:
        spec.weight = weight


@dataclass(frozen=True, slots=True)
class _Int8:
    pair_safe: bool

    def linear(self, spec: LinearSpec, weight: FloatArray) -> None:
        spec.weight, spec.weight_scale = quantize(weight, pair_safe=self.pair_safe)

    def embeddings(self, spec: EmbeddingsSpec, weight: FloatArray) -> None:
        spec.weight, spec.weight_scale = quantize(weight, pair_safe=False)  # rows are looked up, never multiplied


def _fill(encoder: TransformerEncoderSpec, tensors: Mapping[str, FloatArray], weights: _Weights) -> None:
    def linear(spec: LinearSpec, *names: str) -> None:
        weights.linear(spec, np.concatenate([tensors[f"{name}.weight"] for name in names]))
        spec.bias = np.concatenate([tensors[f"{name}.bias"] for name in names])

    def norm(spec: LayerNormSpec, name: str) -> None:
        spec.gamma, spec.beta = tensors[f"{name}.weight"], tensors[f"{name}.bias"]

    prefix = "encoder.embeddings"
    weights.embeddings(encoder.embeddings[0], tensors[f"{prefix}.word_embeddings.weight"])
    # Every token is of type 0, so that type's row is part of every position.
    encoder.position_encodings.encodings = (
        tensors[f"{prefix}.position_embeddings.weight"] + tensors[f"{prefix}.token_type_embeddings.weight"][0]
    )
    norm(encoder.layernorm_embedding, f"{prefix}.LayerNorm")
    for i, layer in enumerate(encoder.layer):
        name = f"encoder.encoder.layer.{i}"
        query_key_value = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        linear(layer.self_attention.linear[0], *query_key_value)
        linear(layer.self_attention.linear[1], f"{name}.attention.output.dense")
        norm(layer.self_attention.layer_norm, f"{name}.attention.output.LayerNorm")
        linear(layer.ffn.linear_0, f"{name}.intermediate.dense")
        linear(layer.ffn.linear_1, f"{name}.output.dense")
        norm(layer.ffn.layer_norm, f"{name}.output.LayerNorm")
