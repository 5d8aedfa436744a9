"""Reads the tensors of a checkpoint: safetensors, or a pickle that may hold tensors only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nlp.errors import CheckpointError
from nlp.layout import found
from nlp.types import FloatArray

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_OLD_NAMES = {"gamma": "weight", "beta": "bias"}  # LayerNorm in checkpoints that descend from TensorFlow


def weights_file(directory: Path) -> Path:
    """Return the file of weights in a checkpoint, safetensors before a pickle."""
    for name in WEIGHTS:
        if (directory / name).is_file():
            return directory / name
    raise CheckpointError(f"{directory} holds no weights ({' or '.join(WEIGHTS)}); found: {found(directory)}")


def load_tensors(path: Path) -> dict[str, FloatArray]:
    """Return a file's tensors by name, float32; raise `CheckpointError` for one that is damaged or holds more."""
    try:
        return _safetensors(path) if path.suffix == ".safetensors" else _pickle(path)
    except ModuleNotFoundError as error:
        raise CheckpointError(f"reading {path.name} needs {error.name}: pip install 'raner-stream[convert]'") from error
    except Exception as error:  # both raise many kinds; each means that this file is not tensors alone
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path} could not be read as a dictionary of tensors: {reason}") from error


def renamed(tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return tensors under today's names: without `head.` before them, LayerNorm with weight and bias."""
    names = {}
    for name, value in tensors.items():
        stem, _, last = name.removeprefix("head.").rpartition(".")
        names[f"{stem}.{_OLD_NAMES.get(last, last)}"] = value
    return names


def _safetensors(path: Path) -> dict[str, FloatArray]:
    from safetensors import deserialize, safe_open

    with safe_open(path, framework="np") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 - it is no dictionary
        plain = [name for name, kind in kinds.items() if kind != "BF16"]
        tensors = {name: np.asarray(file.get_tensor(name), np.float32) for name in plain}
    if len(plain) < len(kinds):
        for name, stored in deserialize(path.read_bytes()):  # type: ignore[no-untyped-call]  # it carries no types
            if stored["dtype"] == "BF16":  # NumPy does not know it: the upper half of a float32
                upper = np.frombuffer(stored["data"], "<u2").astype("<u4")
                tensors[name] = (upper << 16).view("<f4").reshape(stored["shape"])
    return tensors


def _pickle(path: Path) -> dict[str, FloatArray]:
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise TypeError(f"it holds {type(state).__name__}")
    for name, value in state.items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor)):
            raise TypeError(
                f"{name!r} holds {type(value).__name__}; expected names and tensors alone, as state_dict() gives them"
            )
    return {name: value.detach().float().numpy() for name, value in state.items()}
