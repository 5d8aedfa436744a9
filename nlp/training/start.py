"""What a run begins with: the encoder of the recipe, cut to single characters, and a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nlp import model
from nlp.batching import SPECIAL_TOKENS
from nlp.checkpoint import (
    Architecture,
    architecture_of,
    read_small_files,
    vocabulary_in,
)
from nlp.errors import CheckpointError, LabelError, TrainingError
from nlp.layout import read_json
from nlp.synth import bioes, impossible
from nlp.tensors import load_tensors, renamed, weights_file
from nlp.tokenizer import Tokenizer
from nlp.training.pruning import WORDS, with_channels, with_layers, with_neurons
from nlp.training.recipe import Recipe
from nlp.training.scripts import Scripts
from nlp.training.served import read_served
from nlp.training.vocabulary import cut
from nlp.types import FloatArray


@dataclass(frozen=True, slots=True)
class Start:
    """The first weights by the names of a checkpoint, and the shape, vocabulary and tags that they belong to.

    `tags` are empty, and a head is missing, where there is only an encoder.
    """

    architecture: Architecture
    vocabulary: tuple[str, ...]
    lower_case: bool
    strip_accents: bool
    tags: tuple[str, ...]
    tensors: Mapping[str, FloatArray]

    @property
    def tokenizer(self) -> Tokenizer:
        """A new tokenizer."""
        return Tokenizer(self.vocabulary, lower_case=self.lower_case, strip_accents=self.strip_accents)


def begin(recipe: Recipe, scripts: Scripts | None) -> Start:
    """Read what a recipe begins with; a head of the same tags, in whatever order, is taken over, another begun anew.

    Raises `TrainingError` or `CheckpointError` for what is neither an encoder, a checkpoint nor a serving directory.
    """
    found = _pruned(read_start(recipe.encoder), recipe)
    longest = found.architecture.positions - SPECIAL_TOKENS
    if max(recipe.windows) > longest:
        raise TrainingError(f"windows has {max(recipe.windows)}; the encoder reads {longest} characters at most")
    vocabulary = cut(found.vocabulary, scripts.relatives if scripts and recipe.relatives else None)
    tensors = {**found.tensors, WORDS: found.tensors[WORDS][list(vocabulary.rows)]}
    tags = bioes(recipe.labels)
    if head := head_of(found, tags):
        tensors |= head
    else:
        tensors = {name: value for name, value in tensors.items() if name.startswith("encoder.")}
        tensors |= _transitions(tags, recipe.impossible)
    shape = replace(found.architecture, vocabulary=len(vocabulary.tokens))
    return replace(found, architecture=shape, vocabulary=vocabulary.tokens, tags=tags, tensors=tensors)


def read_start(directory: Path) -> Start:
    """Read an encoder, a RaNER checkpoint or a serving directory as it is.

    Raises `TrainingError` or `CheckpointError` for what is none of them.
    """
    if not directory.is_dir():
        raise TrainingError(f"{directory} is no directory; expected config.json, vocab.txt and weights")
    return _served(directory) if (directory / model.MANIFEST).is_file() else _checkpoint(directory)


def head_of(start: Start, tags: Sequence[str]) -> dict[str, FloatArray]:
    """Return a model's head and CRF for tags in this order; nothing if it has others, or names tags without a CRF."""
    if set(start.tags) != set(tags) or not {"linear.weight", "crf.transitions"} <= start.tensors.keys():
        return {}
    order = [start.tags.index(tag) for tag in tags]
    head = {name: value[order] for name, value in start.tensors.items() if name.startswith(("linear.", "crf."))}
    return head | {"crf.transitions": head["crf.transitions"][:, order]}


def _pruned(start: Start, recipe: Recipe) -> Start:
    """Cut the encoder down to the layers, channels and neurons that a recipe keeps."""
    shape, tensors = start.architecture, start.tensors
    if recipe.layers:
        tensors = with_layers(tensors, recipe.layers, shape.layers)
        shape = replace(shape, layers=len(recipe.layers))
    if recipe.hidden:
        heads = shape.heads * recipe.hidden // shape.hidden
        tensors = with_channels(tensors, shape.layers, shape.heads, recipe.hidden)
        shape = replace(shape, heads=heads, hidden=recipe.hidden)
    if recipe.intermediate:
        tensors = with_neurons(tensors, shape.layers, recipe.intermediate)
        shape = replace(shape, intermediate=recipe.intermediate)
    return replace(start, architecture=shape, tensors=tensors)


def _served(directory: Path) -> Start:
    manifest = model.read_manifest(directory)
    model.verify(directory, manifest)
    served = read_served(directory, manifest)
    vocabulary = tuple(model.read_vocabulary(directory))
    shape = Architecture(
        layers=manifest.layers,
        heads=manifest.heads,
        hidden=manifest.hidden,
        intermediate=manifest.intermediate,
        vocabulary=len(vocabulary),
        positions=len(served.tensors["encoder.embeddings.position_embeddings.weight"]),
        token_types=2,
        activation=served.activation,
        layer_norm_epsilon=served.layer_norm_epsilon,
    )
    return Start(shape, vocabulary, manifest.lower_case, manifest.strip_accents, manifest.labels, served.tensors)


def _checkpoint(directory: Path) -> Start:
    path = directory / "config.json"
    shape = architecture_of(read_json(path), path)
    tensors = _named(renamed(load_tensors(weights_file(directory))))
    if tensors.get(WORDS, np.empty(0)).shape != (shape.vocabulary, shape.hidden):
        raise TrainingError(f"{weights_file(directory)} has no {WORDS} of the shape that {path.name} gives")
    settings = read_json(directory / "tokenizer_config.json", required=False)
    lower_case, strip_accents = bool(settings.get("do_lower_case", True)), settings.get("strip_accents")
    return Start(
        architecture=shape,
        vocabulary=vocabulary_in(directory / "vocab.txt", shape),
        lower_case=lower_case,
        strip_accents=lower_case if strip_accents is None else bool(strip_accents),
        tags=_tags(directory),
        tensors=tensors,
    )


def _named(tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Name tensors as RaNER does: a bare BERT's lack the first `encoder.`, or have `bert.` there."""
    if any(name.startswith("encoder.embeddings.") for name in tensors):
        return {name: value for name, value in tensors.items() if name.startswith(("encoder.", "linear.", "crf."))}
    plain = {name.removeprefix("bert."): value for name, value in tensors.items()}
    return {f"encoder.{name}": value for name, value in plain.items() if name.startswith(("embeddings.", "encoder."))}


def _tags(directory: Path) -> tuple[str, ...]:
    try:
        return read_small_files(directory)[2].tags
    except (CheckpointError, LabelError):
        return ()  # a bare encoder names no tags, or such as LABEL_0


def _transitions(tags: tuple[str, ...], impossible_score: float) -> dict[str, FloatArray]:
    """Return transitions of 0, and of `impossible_score` for what BIOES does not have."""
    shapes = {"start_transitions": (len(tags),), "end_transitions": (len(tags),), "transitions": (len(tags),) * 2}
    return {
        f"crf.{name}": np.where(impossible(f"crf.{name}", tags), impossible_score, np.zeros(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
