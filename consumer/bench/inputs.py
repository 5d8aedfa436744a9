"""What the rows work on: a checkpoint, the serving directory made of it, and texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from consumer.demo.feed import MESSAGES
from nlp.convert import Quantization, convert
from nlp.gold import Gold, read_gold
from nlp.model import Manifest
from nlp.synth import synthesize

SENTENCE_CHARS, FULL_CHARS, LONG_CHARS = 51, 510, 1024
_SENTENCES = 256


@dataclass(frozen=True, slots=True)
class Inputs:
    """A checkpoint, its serving directory and what that says, the file of the texts, and the gold among them."""

    model: Path
    served: Path
    texts: Path
    manifest: Manifest
    gold: Sequence[Gold]
    directory: Path  # for whatever else a measurement has to write

    @property
    def description(self) -> str:
        """What was measured, in words."""
        m = self.manifest
        layers = f"{m.layers} layer{'s' if m.layers > 1 else ''} of {m.hidden}"
        return f"{self.model.name} ({layers}, intermediate size {m.intermediate:,})"


@contextmanager
def prepared(
    model: Path | None, quantization: Quantization, gold: Path | None = None, sentences: int = 0
) -> Iterator[Inputs]:
    """Make what the rows need in a folder that goes when they are done; without a model, a synthetic base one."""
    with TemporaryDirectory(prefix="raner-stream-bench-") as made:
        directory = Path(made)
        if model is None:
            model = directory / "synthetic"
            synthesize(model)
        manifest = convert(model, directory / "served", quantization=quantization)
        documents = read_gold(gold)[:sentences] if gold else []
        (directory / "texts.json").write_text(json.dumps(_texts(documents)), encoding="utf-8")
        yield Inputs(model.resolve(), directory / "served", directory / "texts.json", manifest, documents, directory)


def _texts(gold: Sequence[Gold]) -> dict[str, object]:
    lines = MESSAGES.read_text(encoding="utf-8").splitlines()
    text = "".join(str(json.loads(line)["text"]).replace("\n", "") for line in lines)
    starts = range(0, _SENTENCES * SENTENCE_CHARS, SENTENCE_CHARS)
    return {
        "sentences": [text[start : start + SENTENCE_CHARS] for start in starts],
        "full": text[:FULL_CHARS],
        "long": text[:LONG_CHARS],
        "gold": [document.text for document in gold],
    }
