"""What a run's weights depend on: a state is taken up by the run that left it, and by no other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from nlp.model import MANIFEST, sha256
from nlp.tensors import weights_file
from nlp.training.corpora import Corpus
from nlp.training.recipe import Recipe
from nlp.training.start import Start

# While a run goes on, without it becoming another one:
_MAY_CHANGE = ("output", "epochs", "threads", "evaluate_every", "save_every_seconds", "start_share")


def fingerprint(recipe: Recipe, corpora: Sequence[Corpus], start: Start) -> str:
    """Return a recipe's values and a digest of what its files hold, but for the dev sets."""
    told = {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name not in _MAY_CHANGE}
    texts = [corpus.train for corpus in corpora]
    held = hashlib.sha256(repr((texts, start.architecture, start.vocabulary, start.tags)).encode("utf-8", "replace"))
    for name, tensor in start.tensors.items():
        held.update(name.encode() + tensor.tobytes())
    for path in (*recipe.variants.gazetteers.values(), *map(_weights_of, recipe.teachers)):
        held.update(sha256(path).encode())
    return f"{told} {held.hexdigest()}"


def _weights_of(directory: Path) -> Path:
    """Return the file that tells a model's weights from another's: a serving directory's manifest has their digests."""
    return directory / MANIFEST if (directory / MANIFEST).is_file() else weights_file(directory)
