"""A serving directory: what is in it, whether it is whole, and what it was made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from nlp.errors import ModelError
from nlp.labels import Scheme
from nlp.types import FloatArray

MANIFEST = "model.json"
ENCODER = "encoder"
HEAD = "head.npz"
VOCABULARY = "vocab.txt"
FORMAT = 1

DEFAULT = Path(__file__).parent / "models" / "default"
"""The packaged model."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `model.json` says. `labels` are the tags in the order of the head; `max_length` is in tokens."""

    name: str
    revision: str
    labels: tuple[str, ...]
    max_length: int
    lower_case: bool
    strip_accents: bool
    quantization: str
    scale: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    source: str
    licence: str
    files: dict[str, str]  # path -> sha256

    @property
    def digest(self) -> str:
        """The digest of the whole model: of its files' names and digests."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types that the model can find."""
        return tuple(dict.fromkeys(label for label in Scheme.of(self.labels).labels if label))

    @property
    def token_bytes(self) -> int:
        """Bytes that a padded token of a batch takes in the engine, by the measurements in `nlp/README.md`."""
        return 24 * self.intermediate


@dataclass(frozen=True, slots=True)
class Head:
    """The arrays behind the encoder: `weight` (tags, hidden), `transitions` (tags, tags), the others (tags,)."""

    weight: FloatArray
    bias: FloatArray
    start: FloatArray
    end: FloatArray
    transitions: FloatArray


def read_manifest(directory: Path) -> Manifest:
    """Read `model.json`; raise `ModelError` when it is missing or says something else."""
    path = directory / MANIFEST
    if not path.is_file():
        raise ModelError(
            f"{directory} holds no {MANIFEST}; expected a serving directory, made with "
            "`raner-stream model convert CHECKPOINT DIRECTORY`"
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ModelError(f"{path} is of another format; this version reads {FORMAT}: convert the checkpoint again")
        return Manifest(**{**content, "labels": tuple(content["labels"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        expected = ", ".join(field.name for field in fields(Manifest))
        raise ModelError(f"{path} is not readable ({error}); expected a JSON object with format, {expected}") from error


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `model.json`."""
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def verify(directory: Path, manifest: Manifest) -> None:
    """Raise `ModelError` unless every file that the manifest lists is there with its digest."""
    for name, expected in manifest.files.items():
        path = directory / name
        if not path.is_file():
            raise ModelError(f"{path} is missing; {MANIFEST} lists it: convert or install the model again")
        if (found := sha256(path)) != expected:
            raise ModelError(
                f"{path} has digest {found[:12]}…, {MANIFEST} says {expected[:12]}…: "
                "the file was changed or cut short; convert or install the model again"
            )
    if unlisted := {f"{ENCODER}/model.bin", HEAD, VOCABULARY} - set(manifest.files):
        raise ModelError(f"{directory / MANIFEST} lists no {', '.join(sorted(unlisted))}; convert the model again")


def read_head(directory: Path) -> Head:
    """Read the head and the CRF, arrays only."""
    with np.load(directory / HEAD, allow_pickle=False) as arrays:
        return Head(**{field.name: arrays[field.name] for field in fields(Head)})


def read_vocabulary(directory: Path) -> list[str]:
    """Read the vocabulary, a token a line; only a line feed ends a line."""
    return (directory / VOCABULARY).read_text(encoding="utf-8").removesuffix("\n").split("\n")


def digests(directory: Path) -> dict[str, str]:
    """Return the sha256 of every file below a directory, by its path there."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): sha256(path) for path in files}


def sha256(path: Path) -> str:
    """Return a file's sha256 in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
