"""Writes a serving directory: an int8 CTranslate2 encoder, the head and CRF, the vocabulary, and model.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ctranslate2.specs import Activation, EmbeddingsMerge, TransformerEncoderModelSpec, TransformerEncoderSpec
from ctranslate2.specs.common_spec import EmbeddingsSpec, LayerNormSpec, LinearSpec
from numpy.typing import NDArray

from nlp import model
from nlp.checkpoint import Architecture, Checkpoint, read_checkpoint
from nlp.errors import CheckpointError, ModelError
from nlp.types import FloatArray

_ACTIVATIONS = {"gelu": Activation.GELU, "gelu_new": Activation.GELUTanh, "relu": Activation.RELU}


def convert(
    source: Path,
    destination: Path,
    *,
    name: str | None = None,
    revision: str | None = None,
    origin: str | None = None,
    licence: str | None = None,
) -> model.Manifest:
    """Convert the RaNER checkpoint in `source` to a serving directory and return its manifest.

    `revision` defaults to the start of the weights' digest. Raises `CheckpointError` for what is no such checkpoint
    and `ModelError` when `destination` exists and holds something.
    """
    refuse_occupied(destination)
    checkpoint = read_checkpoint(source)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}-") as directory:
        made = Path(directory) / "model"  # moved when it is whole: what breaks off leaves nothing behind
        _write_files(checkpoint, made)
        a = checkpoint.architecture
        manifest = model.Manifest(
            name=name or source.resolve().name,
            revision=revision or model.sha256(checkpoint.weights_file)[:12],
            labels=checkpoint.scheme.tags,
            max_length=checkpoint.max_length,
            lower_case=checkpoint.lower_case,
            strip_accents=checkpoint.strip_accents,
            quantization="int8",
            scale="pair-safe",
            layers=a.layers,
            hidden=a.hidden,
            heads=a.heads,
            intermediate=a.intermediate,
            source=origin or source.resolve().name,
            licence=licence or "not stated",
            files=model.digests(made),
        )
        model.write_manifest(made, manifest)
        made.replace(destination)
    return manifest


def refuse_occupied(destination: Path) -> None:
    """Raise `ModelError` when `destination` exists and holds something."""
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ModelError(f"{destination} exists and is not empty; name a new directory")


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


def _write_files(checkpoint: Checkpoint, directory: Path) -> None:
    directory.mkdir()
    _write_encoder(checkpoint, directory / model.ENCODER)
    tensors = checkpoint.tensors
    np.savez(
        directory / model.HEAD,
        weight=tensors["linear.weight"],
        bias=tensors["linear.bias"],
        start=tensors["crf.start_transitions"],
        end=tensors["crf.end_transitions"],
        transitions=tensors["crf.transitions"],
    )
    (directory / model.VOCABULARY).write_text("".join(f"{token}\n" for token in checkpoint.vocabulary), "utf-8")


class _IdsOnly(TransformerEncoderModelSpec):  # type: ignore[misc]  # ctranslate2 carries no types
    """An encoder that is given ids, never tokens: it needs no vocabulary, which CTranslate2 would keep in memory."""

    def get_vocabulary_size(self) -> int:
        return 1


def _write_encoder(checkpoint: Checkpoint, destination: Path) -> None:
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
    _fill(encoder, checkpoint.tensors)
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


def _fill(encoder: TransformerEncoderSpec, tensors: Mapping[str, FloatArray]) -> None:
    prefix = "encoder.embeddings"
    _set_embeddings(encoder.embeddings[0], tensors[f"{prefix}.word_embeddings.weight"])
    # Every token is of type 0, so that type's row is part of every position.
    encoder.position_encodings.encodings = (
        tensors[f"{prefix}.position_embeddings.weight"] + tensors[f"{prefix}.token_type_embeddings.weight"][0]
    )
    _set_norm(encoder.layernorm_embedding, tensors, f"{prefix}.LayerNorm")
    for i, layer in enumerate(encoder.layer):
        name = f"encoder.encoder.layer.{i}"
        query_key_value = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        _set_linear(layer.self_attention.linear[0], tensors, *query_key_value)
        _set_linear(layer.self_attention.linear[1], tensors, f"{name}.attention.output.dense")
        _set_norm(layer.self_attention.layer_norm, tensors, f"{name}.attention.output.LayerNorm")
        _set_linear(layer.ffn.linear_0, tensors, f"{name}.intermediate.dense")
        _set_linear(layer.ffn.linear_1, tensors, f"{name}.output.dense")
        _set_norm(layer.ffn.layer_norm, tensors, f"{name}.output.LayerNorm")


def _set_embeddings(spec: EmbeddingsSpec, weight: FloatArray) -> None:
    spec.weight, spec.weight_scale = quantize(weight, pair_safe=False)  # rows are looked up, never multiplied


def _set_linear(spec: LinearSpec, tensors: Mapping[str, FloatArray], *names: str) -> None:
    weight = np.concatenate([tensors[f"{name}.weight"] for name in names])
    spec.weight, spec.weight_scale = quantize(weight, pair_safe=True)
    spec.bias = np.concatenate([tensors[f"{name}.bias"] for name in names])


def _set_norm(spec: LayerNormSpec, tensors: Mapping[str, FloatArray], name: str) -> None:
    spec.gamma, spec.beta = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
