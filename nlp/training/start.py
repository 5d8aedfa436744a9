"""What a run begins with: the encoder of the recipe, cut to single characters, and a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nlp.checkpoint import Architecture, architecture_of, load_tensors, read_small_files, renamed, vocabulary_in, weights_file
from nlp.errors import CheckpointError, TrainingError
from nlp.layout import read_json
from nlp.synth import bioes, impossible
from nlp.tokenizer import Tokenizer
from nlp.training.recipe import Recipe
from nlp.training.scripts import Scripts
from nlp.training.vocabulary import Vocabulary, cut
from nlp.types import FloatArray

_WORDS = "encoder.embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Start:
    """The first weights by the names of a checkpoint, and the shape, vocabulary and tags that they belong to."""

    architecture: Architecture
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    lower_case: bool
    strip_accents: bool
    tags: tuple[str, ...]
    tensors: Mapping[str, FloatArray]


def begin(recipe: Recipe, scripts: Scripts | None) -> Start:
    """Read the encoder, or the checkpoint, of a recipe; a head of the same tags is taken over, another is begun anew."""
    directory = recipe.encoder
    if not directory.is_dir():
        raise TrainingError(f"encoder {directory} is no directory; expected config.json, vocab.txt and weights")
    config = read_json(directory / "config.json")
    architecture = architecture_of(config, directory / "config.json")
    tokens = vocabulary_in(directory / "vocab.txt", architecture)
    vocabulary = cut(tokens, scripts.relatives if recipe.relatives and scripts else None)
    tensors = _tensors(directory)
    if tensors.get(_WORDS, np.empty(0)).shape != (architecture.vocabulary, architecture.hidden):
        raise TrainingError(f"{weights_file(directory)} has no {_WORDS} of the shape that config.json gives")
    tensors[_WORDS] = tensors[_WORDS][list(vocabulary.rows)]
    tags = bioes(recipe.labels)
    if _tags(directory) != tags:
        tensors = {name: value for name, value in tensors.items() if name.startswith("encoder.")}
        tensors |= _head(tags, recipe)
    settings = read_json(directory / "tokenizer_config.json", required=False)
    lower_case = bool(settings.get("do_lower_case", True))
    accents = settings.get("strip_accents")
    strip_accents = lower_case if accents is None else bool(accents)
    return Start(
        architecture=replace(architecture, vocabulary=len(vocabulary.tokens)),
        vocabulary=vocabulary,
        tokenizer=Tokenizer(vocabulary.tokens, lower_case=lower_case, strip_accents=strip_accents),
        lower_case=lower_case,
        strip_accents=strip_accents,
        tags=tags,
        tensors=tensors,
    )


def _tensors(directory: Path) -> dict[str, FloatArray]:
    """Load the weights, named as RaNER names them: a bare BERT's lack the first `encoder.`, or have `bert.` there."""
    tensors = renamed(load_tensors(weights_file(directory)))
    if any(name.startswith("encoder.embeddings.") for name in tensors):
        return {name: value for name, value in tensors.items() if name.startswith(("encoder.", "linear.", "crf."))}
    plain = {name.removeprefix("bert."): value for name, value in tensors.items()}
    return {f"encoder.{name}": value for name, value in plain.items() if name.startswith(("embeddings.", "encoder."))}


def _tags(directory: Path) -> tuple[str, ...] | None:
    try:
        return read_small_files(directory)[2].tags
    except CheckpointError:
        return None  # a bare encoder names no tags


def _head(tags: tuple[str, ...], recipe: Recipe) -> dict[str, FloatArray]:
    """Return transitions of 0, and what BIOES does not have at `impossible`; the linear layer begins at random."""
    shapes = {"start_transitions": (len(tags),), "end_transitions": (len(tags),), "transitions": (len(tags),) * 2}
    return {
        f"crf.{name}": np.where(impossible(f"crf.{name}", tags), recipe.impossible, np.zeros(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
