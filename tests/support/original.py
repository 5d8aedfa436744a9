"""ModelScope's own code on a checkpoint: ids, emissions and entities of many texts in a bearable time.

Its preprocessor, its model and its postprocessing do the work; only the batches are ours, since its pipeline takes a
text at a time. Needs the extra `parity`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nlp.types import FloatArray

_PADDED_TOKENS = 2048  # of a batch: more is not faster on one core
Entity = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What ModelScope makes of a text: `ids` (characters,), `emissions` (characters, tags), entities, their `prob`."""

    ids: list[int]
    emissions: FloatArray
    entities: list[Entity]
    probs: list[float]


class Original:
    """ModelScope's pipeline on a checkpoint directory, with one thread."""

    def __init__(self, directory: Path) -> None:
        self.torch = pytest.importorskip("torch")
        self.torch.set_num_threads(1)
        pipelines = pytest.importorskip("modelscope.pipelines")
        self.pipeline = pipelines.pipeline("named-entity-recognition", model=str(directory), device="cpu")
        # It encodes each character alone, at 100 µs: once is enough for each of them.
        tokenizer = self.pipeline.preprocessor.nlp_tokenizer.tokenizer
        tokenizer.encode = cache(tokenizer.encode)

    def entities(self, text: str, **options: Any) -> list[Entity]:
        """Return what the pipeline itself finds; `options` are its own."""
        return _entities(self.pipeline(text, **options)["output"])

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """Read texts of at most 510 characters, in batches of neighbours in length."""
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))  # the first of a batch is its width
        readings: dict[int, Reading] = {}
        while order:
            rows = max(1, _PADDED_TOKENS // (len(texts[order[0]]) + 2))
            batch, order = order[:rows], order[rows:]
            readings |= zip(batch, self._read([texts[i] for i in batch]), strict=True)
        return [readings[i] for i in range(len(texts))]

    def _read(self, texts: list[str]) -> list[Reading]:
        width = max(map(len, texts)) + 2
        rows = [self.pipeline.preprocessor(text, padding="max_length", max_length=width) for text in texts]
        inputs = {key: self.torch.cat([row[key] for row in rows]) for key in rows[0] if key != "text"}
        with self.torch.no_grad():
            outputs = self.pipeline.model(**inputs)
        readings = []
        for i, text in enumerate(texts):
            names = ("logits", "predictions", "label_mask", "offset_mapping")
            row = {name: getattr(outputs, name)[i : i + 1] for name in names}
            chunks = self.pipeline.postprocess({**row, "text": text})["output"]
            ids = inputs["input_ids"][i, 1 : len(text) + 1].tolist()
            probs = [float(chunk["prob"]) for chunk in chunks]
            readings.append(Reading(ids, row["logits"][0, : len(text)].numpy(), _entities(chunks), probs))
        return readings


def read_tags(tags: Sequence[str]) -> list[Entity]:
    """Return the entities that ModelScope's postprocessing reads from tags, one a character."""
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("modelscope.pipelines.nlp.token_classification_pipeline")
    names = sorted(set(tags))
    pipeline = SimpleNamespace(id2label=dict(enumerate(names)))  # all of itself that the method looks at
    places = np.arange(len(tags))
    inputs = {
        "text": "一" * len(tags),
        "predictions": torch.tensor([[names.index(tag) for tag in tags]]),
        "offset_mapping": torch.from_numpy(np.stack([places, places + 1], axis=1)[None]),
        "label_mask": torch.ones((1, len(tags)), dtype=torch.bool),
    }
    return _entities(module.TokenClassificationPipeline._chunk_process(pipeline, inputs))


def _entities(chunks: Sequence[dict[str, Any]]) -> list[Entity]:
    return [(int(chunk["start"]), int(chunk["end"]), str(chunk["type"])) for chunk in chunks]
