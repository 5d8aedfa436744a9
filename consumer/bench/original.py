"""ModelScope's own pipeline, and on top of it, one after the other, the techniques of the note."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from consumer.bench.subject import Found, Subject
from consumer.bench.subject import measure as measure_subject

WINDOW, OVERLAP = 500, 50
CACHED = 65_536  # characters whose ids are remembered: more than a vocabulary has
MAX_TOKENS = 512

TECHNIQUES = ("quantise", "inference", "checkpointing", "windows", "cache", "unpadded")


def measure(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Measure the pipeline with the techniques that `options` names."""
    return measure_subject(lambda: _subject(options["model"], options["techniques"], options["threads"]), options)


def _subject(model: str, techniques: Sequence[str], threads: int) -> Subject:
    import torch
    from modelscope.pipelines import pipeline
    from modelscope.preprocessors import Preprocessor

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    given: dict[str, Any] = {}
    if "unpadded" in techniques:  # every text is padded to the longest one possible otherwise
        given["preprocessor"] = Preprocessor.from_pretrained(model, padding=False, max_length=MAX_TOKENS)
    made: Any = pipeline("named-entity-recognition", model=model, device="cpu", **given)
    if "quantise" in techniques:
        # In place: a quantised copy beside the original would only add to the memory.
        torch.ao.quantization.quantize_dynamic(made.model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
        gc.collect()
    if "checkpointing" in techniques:
        made.model.encoder.gradient_checkpointing_enable()
    if "cache" in techniques:
        tokenizer = made.preprocessor.nlp_tokenizer.tokenizer
        tokenizer.encode = lru_cache(CACHED)(tokenizer.encode)

    def annotate(texts: Sequence[str]) -> list[Found]:
        with torch.inference_mode("inference" in techniques):
            return [_found(made, text, windowed="windows" in techniques) for text in texts]

    return Subject(annotate, lambda found: found)


def _found(made: Any, text: str, *, windowed: bool) -> Found:
    """Return what the pipeline finds, in windows whose entities are put together, each once."""
    starts = range(0, max(len(text) - OVERLAP, 1), WINDOW - OVERLAP) if windowed else (0,)
    found = {
        (start + int(entity["start"]), start + int(entity["end"]), str(entity["type"]))
        for start in starts
        for entity in made(text[start : start + WINDOW] if windowed else text)["output"]
    }
    return sorted(found)
