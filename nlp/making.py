"""Directories that are made: nothing stands in their place before they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from nlp.errors import ModelError

MADE = "made"


def refuse_occupied(destination: Path) -> None:
    """Raise `ModelError` when `destination` exists and holds something."""
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ModelError(f"{destination} exists and is not empty; name a new directory")


@contextmanager
def made_whole(destination: Path, last: str) -> Iterator[Path]:
    """Yield a directory to work in; what stands in its `MADE` at the end moves to `destination`, the file `last` last.

    An empty directory that is there, such as the current one or a volume, is filled. Raises `ModelError` when
    `destination` exists and holds something, or cannot be written.
    """
    refuse_occupied(destination)
    is_there = destination.is_dir()
    place = destination if is_there else destination.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=place, prefix=f".{destination.name}-") as directory:
            yield Path(directory)
            made = Path(directory) / MADE
            if is_there:
                for path in sorted(made.iterdir(), key=lambda path: path.name == last):
                    path.replace(destination / path.name)
            else:
                made.replace(destination)
    except OSError as error:
        raise ModelError(f"{destination} cannot be made: {error}") from error
