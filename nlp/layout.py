"""Tells RaNER's layout from others by the small files of a checkpoint: `configuration.json` and `config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp.errors import CheckpointError

TYPE = "transformer-crf"
"""ModelScope's name of RaNER's model class."""

_ADASEQ = "AdaSeq's own layout, with its encoder under embedder.*"
_LSTM = "an LSTM with a CRF, which has no BERT encoder"


def check_layout(directory: Path) -> None:
    """Raise `CheckpointError` when the small files name another model than a BERT encoder with a CRF.

    Where `configuration.json` names no type, as in checkpoints that were never published, the weights decide.
    """
    path = directory / "configuration.json"
    settings = read_json(path, required=False).get("model")
    if isinstance(settings, dict) and (kind := settings.get("type")) not in (None, TYPE):
        raise CheckpointError(
            f"{path}: model.type is {kind!r}{_known(settings, str(kind))}; expected {TYPE!r}, RaNER's, with weights "
            "encoder.*, linear.* and crf.* (where these are what it holds, correct the type)"
        )
    path = directory / "config.json"
    config = read_json(path)
    if (kind := config.get("model_type", "bert")) != "bert":
        raise CheckpointError(
            f"{path}: model_type is {kind!r}; only BERT encoders ('bert'), with a vocab.txt, have RaNER's layout"
        )
    if (position := config.get("position_embedding_type", "absolute")) != "absolute":
        raise CheckpointError(f"{path}: position_embedding_type is {position!r}; expected 'absolute'")


def read_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    """Read a JSON object, an empty one for a missing file that is not required; else raise `CheckpointError`."""
    if not path.is_file():
        if required:
            raise CheckpointError(f"{path} is missing; expected a RaNER checkpoint; found: {found(path.parent)}")
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # the latter where it is nested too deeply
        raise CheckpointError(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds {type(value).__name__}; expected a JSON object")
    return value


def found(directory: Path) -> str:
    """Return the names of what a directory holds, for an error."""
    return ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"


def _known(settings: Mapping[str, Any], kind: str) -> str:
    """Say what a foreign type is, where it is known."""
    if "embedder" in settings or kind == "sequence-labeling-model":
        return f", {_ADASEQ}"
    return f", {_LSTM}" if kind.startswith("lstm") else ""
