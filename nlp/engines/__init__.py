"""Runtimes that score token batches, by name. Each knows one runtime, and the one layout of a model that it reads."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from nlp.errors import ModelError
from nlp.model import Model
from nlp.types import Engine

Opener = Callable[[Path, int], tuple[Model, Engine]]
"""Opens a directory for a number of threads; raises `ModelError` when it is not what the runtime reads."""

ENGINES = {
    "ct2-int8": "nlp.engines.ct2:int8",
    "ct2-fp32": "nlp.engines.ct2:fp32",
    "torch-fp32": "nlp.engines.pytorch:fp32",
    "torch-int8": "nlp.engines.pytorch:int8",
}
"""The first two read a serving directory; the others, for reference and comparison, a RaNER checkpoint."""


def open_engine(name: str, directory: Path, threads: int) -> tuple[Model, Engine]:
    """Open the model in `directory` with the engine `name`."""
    if name not in ENGINES:
        raise ModelError(f"no engine is called {name!r}; expected {', '.join(ENGINES)}")
    module, _, function = ENGINES[name].partition(":")
    try:
        opener: Opener = getattr(import_module(module), function)
    except ImportError as error:
        raise ModelError(f"engine {name} needs {error.name}: pip install 'raner-stream[convert]'") from error
    return opener(directory, threads)
