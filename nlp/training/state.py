"""What a run needs to go on after it was killed, in one file that is replaced whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nlp.errors import TrainingError

FILE = "state.pt"


@dataclass(slots=True)
class Place:
    """Where a run is: steps taken, the epoch, the next batch in it, and the best mean F1 so far."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = -1.0


def save(directory: Path, place: Place, parts: dict[str, Any], run: str) -> None:
    """Save the place and the state of the parts (modules, an optimiser), with the state of the random numbers."""
    new = directory / f"{FILE}.new"
    content = {
        "run": run,
        "place": [place.step, place.epoch, place.batch, place.best],
        "random": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        **{name: part.state_dict() for name, part in parts.items()},
    }
    with new.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(directory / FILE)


def restore(directory: Path, parts: dict[str, Any], run: str) -> Place:
    """Load a saved state into the parts and return the place; a new run begins at the first step.

    Raises `TrainingError` when the state belongs to another recipe, or to other files.
    """
    path = directory / FILE
    if not path.is_file():
        return Place()
    content = torch.load(path, map_location="cpu", weights_only=True)
    if content["run"] != run:
        raise TrainingError(
            f"{path} belongs to another recipe: its encoder, corpora, labels or rates, or what its files hold, differ "
            "from this one's. Name another output, or remove that directory"
        )
    for name, part in parts.items():
        part.load_state_dict(content[name])
    torch.set_rng_state(content["random"])
    if content["cuda"]:
        torch.cuda.set_rng_state_all(content["cuda"])
    return Place(*content["place"])
