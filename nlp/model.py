"""A serving directory: what is in it, whether it is whole, and what it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import numpy as np

from nlp.errors import ModelError
from nlp.types import FloatArray

MANIFEST = "model.json"
ENCODERS = {"ct2-int8": "encoder", "ct2-fp32": "encoder-fp32"}
"""The folder that each engine reads; a directory holds one of them, or both."""
HEAD = "head.npz"
VOCABULARY = "vocab.txt"
FORMAT = 1

DEFAULT = Path(__file__).parent / "models" / "default"
TINY = DEFAULT.with_name("tiny")
PACKAGED = {path.name: path for path in (DEFAULT, TINY)}
"""The models that come with the package, by the names that stand for them where a directory is expected."""

_KINDS = {
    str: "a string",
    int: "a whole number above 0",
    float: "a number",
    bool: "true or false",
    tuple: "a list of strings",
    dict: "an object of strings",
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `model.json` says.

    `labels` are the tags in the order of the head; `max_length` is in tokens; entities that score below `min_score` are
    left out unless something else is asked for.
    """

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
    min_score: float = field(default=0.0, kw_only=True)
    files: dict[str, str]  # path -> sha256

    @property
    def digest(self) -> str:
        """The digest of the whole model: of its files' names and digests."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that the directory holds an encoder for."""
        return tuple(name for name, folder in ENCODERS.items() if f"{folder}/model.bin" in self.files)

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

    @classmethod
    def of(cls, tensors: Mapping[str, FloatArray]) -> Head:
        """Take the head out of a checkpoint's tensors."""
        return cls(
            weight=tensors["linear.weight"],
            bias=tensors["linear.bias"],
            start=tensors["crf.start_transitions"],
            end=tensors["crf.end_transitions"],
            transitions=tensors["crf.transitions"],
        )


@dataclass(frozen=True, slots=True)
class Model:
    """All of a model but its encoder."""

    manifest: Manifest
    head: Head
    vocabulary: Sequence[str]


def located(path: Path | str) -> Path:
    """Return the directory meant: a packaged model's by its name, even beside a directory of it, which is `./tiny`."""
    return PACKAGED.get(str(path), Path(path).absolute())


def read(directory: Path, engine: str) -> Model:
    """Read a serving directory after checking it for one engine; raise `ModelError` when it is not whole."""
    manifest = read_manifest(directory)
    if engine not in manifest.engines:
        raise ModelError(
            f"{directory} has no encoder for {engine}, it has {', '.join(manifest.engines) or 'none'}; "
            "convert the checkpoint again, with `--quantization both` for both"
        )
    unread = [f"{folder}/" for name, folder in ENCODERS.items() if name != engine]
    verify(directory, manifest, [name for name in manifest.files if not name.startswith(tuple(unread))])
    return Model(manifest, read_head(directory), read_vocabulary(directory))


def read_manifest(directory: Path) -> Manifest:
    """Read `model.json`; raise `ModelError` when it is missing or says something else."""
    path = directory / MANIFEST
    if not path.is_file():
        raise ModelError(
            f"{directory} holds no {MANIFEST}; expected a packaged model ({', '.join(PACKAGED)}), or a serving "
            "directory, made with `raner-stream model convert CHECKPOINT DIRECTORY`"
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ModelError(f"{path} is of another format; this version reads {FORMAT}: convert the checkpoint again")
        manifest = Manifest(**{**content, "labels": tuple(content["labels"])})
        _check_kinds(manifest)
        if not 0 <= manifest.min_score <= 1:
            raise ValueError(f"min_score is {manifest.min_score}, a probability from 0 to 1 belongs there")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        expected = ", ".join(each.name for each in fields(Manifest))
        raise ModelError(f"{path} is not readable ({error}); expected a JSON object with format, {expected}") from error
    return manifest


def _check_kinds(manifest: Manifest) -> None:
    """Raise `TypeError` for a value that is not of its field's type; a whole number is above 0."""
    for name, hint in get_type_hints(Manifest).items():
        value = getattr(manifest, name)
        kind = get_origin(hint) or hint
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
        if (
            type(value) not in ((int, float) if kind is float else (kind,))
            or (kind is int and value < 1)
            or not all(isinstance(part, str) for part in parts)
        ):
            raise TypeError(f"{name} is {value!r:.80}, {_KINDS[kind]} belongs there")


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `model.json`."""
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def verify(directory: Path, manifest: Manifest, names: Iterable[str] | None = None) -> None:
    """Raise `ModelError` unless the files that the manifest lists, or those `names`, are there with their digests."""
    for name in manifest.files if names is None else names:
        path, expected = directory / name, manifest.files[name]
        if not path.is_file():
            raise ModelError(f"{path} is missing; {MANIFEST} lists it: convert or install the model again")
        if (found := sha256(path)) != expected:
            raise ModelError(
                f"{path} has digest {found[:12]}…, {MANIFEST} says {expected[:12]}…: "
                "the file was changed or cut short; convert or install the model again"
            )
    if unlisted := {HEAD, VOCABULARY} - set(manifest.files):
        raise ModelError(f"{directory / MANIFEST} lists no {', '.join(sorted(unlisted))}; convert the model again")


def read_head(directory: Path) -> Head:
    """Read the head and the CRF, arrays only."""
    with np.load(directory / HEAD, allow_pickle=False) as arrays:
        return Head(**{each.name: arrays[each.name] for each in fields(Head)})


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
